"""Finding faster schedules: tune."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TuningError
from ..model import Model
from .artifacts import as_model
from .common import check_threads, grouped, stage

if TYPE_CHECKING:
    from ..target import Target
    from ..tuning.campaign import Campaign, Outcome
    from .common import Source


def tune(
    models: Model | Source | Sequence[Model | Source],
    target: str | Path | Target = "host",
    *,
    records: str | PathLike[str],
    budget: str,
    threads: int = 1,
    sparsity: bool = True,
    tracker: str | None = None,
    key: str | None = None,
    flush_kib: int = 0,
    page: str | PathLike[str] | None = None,
    log_file: str | PathLike[str] | None = None,
    watch: Callable[[Campaign], None] | None = None,
) -> Outcome:
    """Measure schedules of the models' kernels, ever better ones, and record them for ``compile``.

    Tuning again with the same records goes on where it stopped. Ctrl-C ends it; what was measured is recorded.

    Parameters
    ----------
    models   : one, or several that share the budget; kernels that they have in common are tuned once.
    records  : the database, made if it is not there; any number of campaigns may share it. The cost model is kept
               beside it.
    budget   : of this run: "8h", "30min", "500trials", or "until 1% gain per 30min".
    threads, sparsity : what the models will be compiled with.
    tracker, key : measure on the boards of that key, which TVM's RPC tracker at "HOST:PORT" has (docs/boards.md), and
               not on this machine.
    flush_kib : memory to read before each run that is timed, to find out how schedules do when a cache of that size
               holds other data.
    page     : an HTML page to write as it goes.
    log_file : a file to append a line a trial to.
    watch    : called with the campaign after every batch.

    Raises
    ------
    InputError, TargetError, ModelError, UnsupportedError
    TuningError     : nothing can be tuned or measured (any more), or a file cannot be written; what was measured
                      before is recorded.
    DependencyError : there is no C compiler for the target.
    """
    from .. import frontend
    from .. import target as targets
    from ..tuning.board import Tracker
    from ..tuning.budget import Budget
    from ..tuning.campaign import Campaign, logged
    from ..tuning.extract import extract
    from ..tuning.local import LocalMeasurer
    from ..tuning.page import Page
    from ..tuning.records import Records
    from ..tuning.rpc import RpcMeasurer

    found, limit = targets.get(target), Budget.parse(budget)
    check_threads(threads)
    boards = None if tracker is None else Tracker.parse(tracker, key)
    several = models if isinstance(models, Sequence) and not isinstance(models, str | bytes) else [models]
    loaded = [as_model(model) for model in several]
    for model in loaded:
        frontend.require_static(model)
    regions = [grouped(model, found, sparsity) for model in loaded]
    names = ", ".join(model.source for model in loaded)
    with stage("tuning", names), Records(Path(records)) as database, logged(log_file):
        tasks = extract(regions, found, threads, sparsity)
        if not tasks:
            raise TuningError(f"no kernel has a schedule rule with decisions for {found.name}", file=names)
        watchers = [one for one in (Page(Path(page)) if page else None, watch) if one is not None]
        flush = flush_kib * 1024
        measurer: LocalMeasurer | RpcMeasurer
        if boards is None:
            measurer = LocalMeasurer(found, threads, flush_bytes=flush)
        else:
            measurer = RpcMeasurer(found, boards, threads, flush_bytes=flush)
        with closing(measurer):
            return Campaign(tasks, database, measurer, limit, watch=watchers).run()

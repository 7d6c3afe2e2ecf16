"""Measuring on this machine: candidates are built on all its cores, then run one after the other on a quiet one."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import target as targets
from ..errors import TuningError
from ..target import Target
from . import trial
from .builder import Built
from .pool import spread
from .task import Decisions, Result, Task
from .trial import Request
from .worker import Failed, Limits, Worker
from .workshop import Reference, Workshop, result

BUILDING = Limits(seconds=30, mebibytes=4096)
RUNNING = Limits(seconds=10, mebibytes=1024)


class LocalMeasurer:
    """Measures tasks of one target on this machine.

    Nothing is built while a candidate runs, and the process that runs it stays on the last of the CPUs that are
    allowed (the last ``threads`` of them), so that candidates are timed under the same conditions.

    Attributes
    ----------
    best : see ``Measurer``.
    """

    def __init__(
        self,
        target: Target,
        threads: int = 1,
        *,
        builders: int | None = None,
        building: Limits = BUILDING,
        running: Limits = RUNNING,
        flush_bytes: int = 0,
    ) -> None:
        """builders    : processes that build; one for each CPU by default.
        building    : what building a candidate may use; running : what checking and timing it may use.
        flush_bytes : of other memory to read before each run that is timed: as many as a cache has, to time
                      candidates that find their data in the next one.

        Raises TuningError for a target that this machine is not, DependencyError without a C compiler.
        """
        _require(target)
        self._cores = sorted(os.sched_getaffinity(0))[-threads:]
        if len(self._cores) < threads:
            raise TuningError(f"{threads} threads cannot be timed on {len(self._cores)} CPUs")
        self.best: dict[str, float] = {}
        self._workshop = Workshop(target, threads, builders, building)
        self._program = trial.compile_program(target, self._workshop.path)
        self._running, self._flush_bytes = running, flush_bytes
        self._workers: list[Worker] = []
        self._refused: dict[str, str] = {}

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        """See ``Measurer``. A task whose default schedule cannot be run has "run" for all its candidates."""
        built: dict[int, Built] = {}
        for index, answer in self._workshop.build(batch):
            if isinstance(answer, Result):
                yield index, answer
            else:
                built[index] = answer
        if not self._workers:
            limits = Limits(2 * self._running.seconds, 2 * self._running.mebibytes)  # the program sees to its own
            self._workers.append(Worker("tvmopt.tuning.trial:prepare", self._program, limits, cores=self._cores))
        new = {task.workload for task, _ in batch} - self._refused.keys()
        for workload, answer in spread(self._workers, self._defaults(new)):
            self._refused[workload] = "" if answer == Result("ok") else f"the default schedule: {answer.message}"
        for index, answer in spread(self._workers, self._candidates(batch, built)):
            built[index].path.unlink()
            yield index, result(answer, "run")
        for index in built:
            if refusal := self._refused[batch[index][0].workload]:
                yield index, Result("run", (), refusal)

    def close(self) -> None:
        """See ``Measurer``."""
        self._workshop.close()
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _defaults(self, new: set[str]) -> Iterator[tuple[str, tuple[Path, Request]]]:
        for workload in sorted(new):
            reference = self._workshop.references[workload]
            if isinstance(reference.default, Failed):
                self._refused[workload] = f"the default schedule: {reference.default.message}"
            else:
                yield workload, self._request(reference, reference.default, 0)

    def _candidates(
        self, batch: Sequence[tuple[Task, Decisions]], built: dict[int, Built]
    ) -> Iterator[tuple[int, tuple[Path, Request]]]:
        for index, library in built.items():
            workload = batch[index][0].workload
            if not self._refused[workload]:
                best = self.best.get(workload, math.inf)
                yield index, self._request(self._workshop.references[workload], library, best)

    def _request(self, reference: Reference, built: Built, best: float) -> tuple[Path, Request]:
        folder = reference.folder
        return folder / "request", Request(
            candidate=str(built.path),
            inputs=str(folder / "inputs"),
            expected=str(folder / "expected"),
            result=str(folder / "result"),
            buffers=reference.buffers,
            scratch=built.scratch,
            limits=self._running,
            best=best,
            flush_bytes=self._flush_bytes,
        )


def _require(target: Target) -> None:
    """Check that this machine runs code for ``target``."""
    host, elsewhere = target.host, "tune on boards: --tracker HOST:PORT --key KEY"
    if target.backend != "library" or host is None or host.machine != platform.machine():
        raise TuningError(f"this machine does not run code for {target.name}", hint=elsewhere)
    if missing := set(host.flags) - targets.cpu_flags():
        raise TuningError(f"this CPU does not run code for {target.name}: no {min(missing)}", hint=elsewhere)

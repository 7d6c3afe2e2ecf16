"""From a lowered model to an artifact."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import UnsupportedError
from ..model import Model
from ..quant.subgraphs import Op
from ..runtime import Artifact
from ..runtime.systolic import Program
from ..target import Systolic, Target
from . import systolic
from .embedded import DEFAULT, Embedded
from .manifest import describe

__all__ = ["Artifact", "Embedded", "build"]

log = logging.getLogger(__name__)


def supports(op: Op, target: Target) -> str | None:
    """Why the accelerator of ``target`` does not take an op of a model of regions; None where it does."""
    assert isinstance(target.accelerator, Systolic)
    return systolic.supports(op, target.accelerator)


def offload(model: Model, target: Target) -> dict[str, Program]:
    """What the accelerator of ``target`` does for every subgraph of a partitioned model."""
    assert isinstance(target.accelerator, Systolic)
    return systolic.compile(model, target.accelerator)


def build(
    model: Model,
    target: Target,
    threads: int = 1,
    options: Embedded = DEFAULT,
    programs: Mapping[str, Program] | None = None,
) -> Artifact:
    """Compile a lowered model.

    A model that needs TVM at run time, for shapes or operators that only then are known, becomes an executable
    of its virtual machine whatever the target's back end; its manifest says so.

    What was compiled for another machine runs in the target's emulator, if it names one.

    threads  : how many threads one inference uses.
    options  : how a model for a microcontroller is written.
    programs : what the target's accelerator does (see ``offload``).

    Raises DependencyError without a C compiler for the target, or a CUDA one for a GPU; UnsupportedError for threads or
    symbolic shapes on a microcontroller, for a model larger than its memory, for a microcontroller's options on any
    other target, and where the host of an accelerator would need TVM at run time.
    """
    from . import cuda, emulated, library, static_c, vm

    facts = describe(model, target, threads) | {"backend": target.backend}
    if programs is not None:
        facts["accelerator"] = {"subgraphs": list(programs), "host_reasons": model.host_reasons}
    folder = TemporaryDirectory(prefix="tvmopt-")
    if target.backend == "static_c":
        if threads > 1:
            raise UnsupportedError(f"target {target.name} runs one thread, not {threads}", file=model.source)
        path = Path(folder.name) / "model"
        path.mkdir()
        static_c.build(model, target, path, facts, options)
        return Artifact(path, folder, emulated.engine(path, model, target, facts))
    if options.chosen:
        reason = f"{options.chosen[0]} is for microcontrollers, and {target.name} is none"
        raise UnsupportedError(reason, file=model.source)
    path = Path(folder.name) / "model.so"
    if target.cuda is not None:
        path.write_bytes(cuda.build(model, target, facts))
        return Artifact(path, folder)
    load = None
    try:
        data = library.build(model, target, facts, threads, path, programs)
        load = emulated.engine(path, model, target, facts)
    except UnsupportedError as reason:
        if programs:
            raise
        log.info("%s: %s; using TVM's virtual machine", model.source, reason.reason)
        data = vm.build(model, target, facts | {"backend": "vm"})
    path.write_bytes(data)
    return Artifact(path, folder, load)

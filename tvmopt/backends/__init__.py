"""From a lowered model to an artifact."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..abi import NAME
from ..errors import DependencyError, UnsupportedError
from ..model import Model
from ..quant.subgraphs import Op
from ..runtime import Artifact
from ..target import EthosU, Systolic, Target
from . import systolic
from .embedded import DEFAULT, Embedded
from .manifest import describe, written
from .zeros import formats

if TYPE_CHECKING:
    from ..runtime.artifact import Engine
    from .npu.artifact import Here
    from .npu.expected import Expected
    from .survey import Footprint

Offloaded = Mapping[str, Any]
"""What an accelerator computes, by the name of the subgraph: a ``systolic.Program``, or an ``npu.part.Part``."""

__all__ = ["Artifact", "Embedded", "build", "formats"]

log = logging.getLogger(__name__)


def supports(target: Target) -> Callable[[Op], str | None]:
    """For ``passes.partition``: why the accelerator of ``target`` does not take an op of a model of regions, or None.

    Raises DependencyError where the accelerator's tools are not installed.
    """
    if isinstance(target.accelerator, EthosU):
        _require_npu()
        from .npu import support

        return support.supports(target.accelerator)
    assert isinstance(target.accelerator, Systolic)
    return partial(systolic.supports, machine=target.accelerator)


def offload(model: Model, target: Target) -> Offloaded:
    """What the accelerator of ``target`` does for every subgraph of a partitioned model."""
    if isinstance(target.accelerator, EthosU):
        from .npu.part import parts

        return parts(model, target.accelerator)
    assert isinstance(target.accelerator, Systolic)
    return systolic.compile(model, target.accelerator)


def simulate(model: Model, target: Target, programs: Offloaded, here: Here) -> Engine:
    """Run a partitioned model on this machine without compiling it for its target."""
    from .npu import artifact, facts

    return artifact.OnThisMachine(model, here, programs, {"accelerator": facts.describe(model, target, programs)})


def expected(model: Model, target: Target, programs: Offloaded) -> Expected:
    """What the compiler of ``target``'s Ethos-U expects a partitioned model to cost."""
    from .npu import expected as expectation

    return expectation.expected(model, target, programs)


def footprint(model: Model, target: Target, options: Embedded) -> Footprint:
    """What a lowered model takes on a CPU, and how many instructions its steps take where an emulator counts them.

    options : how a model for a microcontroller is written; the default ones for all others.

    Raises UnsupportedError for a model that needs TVM at run time, for one larger than a microcontroller's memory, and
    for float16 where there is none.
    """
    from . import survey

    if not target.float16:
        _require_no_float16(model, target.name)
    return survey.footprint(model, target, options)


def _require_npu() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("tosa_serializer", "tosa_reference_model", "ethosu")):
        install = "pip install 'tvmopt[npu]' && pip install --no-deps tosa-tools==2026.8.0"
        raise DependencyError("targets with an Ethos-U need Vela and tosa-tools: the extra 'npu'", hint=install)


def _require_no_float16(model: Model, where: str) -> None:
    import tvm_ffi
    from tvm import ir, tirx

    found: set[str] = set()
    elements = ir.PrimType, lambda type_: found.add(str(type_))
    casts = tirx.Cast, lambda cast: found.add(str(cast.ty))
    for func in model.mod.functions.values():
        if isinstance(func, tirx.PrimFunc):
            tvm_ffi.structural_walk(func, [elements, casts])
    if "float16" in found:
        raise UnsupportedError(f"it computes in float16, which {where} lacks", file=model.source, hint="use float32")


def _require_no_name(name: str, what: str) -> None:
    if name != NAME:
        raise UnsupportedError(f"{what} is not called from C, so it has no name '{name}' there")


def build(
    model: Model,
    target: Target,
    threads: int = 1,
    options: Embedded = DEFAULT,
    programs: Offloaded | None = None,
    here: Here | None = None,
    name: str = NAME,
) -> Artifact:
    """Compile a lowered model.

    A model that needs TVM at run time, for shapes or operators that only then are known, becomes an executable
    of its virtual machine whatever the target's back end; its manifest says so.

    What was compiled for another machine runs in the target's emulator, if it names one.

    threads  : how many threads one inference uses.
    options  : how a model for a microcontroller is written.
    programs : what the target's accelerator does (see ``offload``).
    here     : the same model lowered for this machine, where it runs when an accelerator cannot be emulated.
    name     : of the model in C.

    Raises DependencyError without a C compiler for the target, or a CUDA one for a GPU; UnsupportedError for threads or
    symbolic shapes on a microcontroller, for a model larger than its memory, for a microcontroller's options on any
    other target, for float16 where there is none, for TOSA text without an Ethos-U, for a name where C is not what
    calls the model, and where the host of an accelerator would need TVM at run time.
    """
    from . import cuda, emulated, library, static_c, vm

    if options.emit == "tosa-mlir" and not isinstance(target.accelerator, EthosU):
        raise UnsupportedError(f"target {target.name} has no Ethos-U, whose subgraphs 'tosa-mlir' would write")
    if not target.float16 or options.emit == "c":
        _require_no_float16(model, "C" if options.emit == "c" else target.name)
    facts = describe(model, target, threads) | {"backend": target.backend}
    folder = TemporaryDirectory(prefix="tvmopt-")
    if target.backend == "static_c":
        if threads > 1:
            raise UnsupportedError(f"target {target.name} runs one thread, not {threads}", file=model.source)
        path = Path(folder.name) / "model"
        path.mkdir()
        if isinstance(target.accelerator, EthosU):
            from .npu import artifact

            assert programs is not None
            assert here is not None
            artifact.build(model, target, path, facts, options, programs, name)
            manifest = written(path, name)
            return Artifact(path, folder, partial(artifact.OnThisMachine, model, here, programs, manifest))
        static_c.build(model, target, path, facts, options, name=name)
        return Artifact(path, folder, emulated.engine(path, model, target, facts, name))
    if options.chosen:
        reason = f"{options.chosen[0]} is for microcontrollers, and {target.name} is none"
        raise UnsupportedError(reason, file=model.source)
    if programs is not None:
        facts["accelerator"] = {"subgraphs": list(programs), "host_reasons": model.host_reasons}
    path = Path(folder.name) / "model.so"
    if target.cuda is not None:
        _require_no_name(name, f"code for {target.name}")
        path.write_bytes(cuda.build(model, target, facts))
        return Artifact(path, folder)
    load = None
    try:
        data = library.build(model, target, facts, threads, path, programs, name)
        load = emulated.engine(path, model, target, facts)
    except UnsupportedError as reason:
        if programs:
            raise
        _require_no_name(name, f"what needs TVM to run ({reason.reason})")
        log.info("%s: %s; using TVM's virtual machine", model.source, reason.reason)
        data = vm.build(model, target, facts | {"backend": "vm"})
    path.write_bytes(data)
    return Artifact(path, folder, load)

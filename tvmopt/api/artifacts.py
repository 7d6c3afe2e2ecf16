"""From an ONNX model to an artifact: load, compile, open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..abi import NAME, check_name
from ..errors import InputError
from ..model import Model
from .common import check_threads, grouped, name_of, stage

if TYPE_CHECKING:
    from ..backends import Offloaded
    from ..backends.embedded import Emit, IoMemory
    from ..passes.pipeline import Io
    from ..runtime import Artifact
    from ..runtime.artifact import Engine
    from ..target import Target
    from .common import Source


def load(
    source: Source,
    shapes: Mapping[str, Sequence[int]] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Model:
    """Read an ONNX model: a path, its bytes, or a ModelProto.

    shapes    : dimensions of inputs by name, for inputs with symbolic ones.
    constants : values of inputs by name, numbers or arrays, for inputs that always have the same; such as those that
                say which branch is taken, or how large something is. The model has these inputs no longer.

    Raises InputError for a shape or value that does not fit, ModelError for an invalid model, UnsupportedError for one
    that asks for something unsupported.
    """
    from .. import frontend

    with stage("importing", name_of(source)):
        return frontend.load(source, shapes, constants)


def compile(
    model: Model | Source,
    target: str | Path | Target = "host",
    *,
    threads: int = 1,
    sparsity: bool = True,
    io: Io = "onnx",
    emit: Emit = "object",
    io_memory: IoMemory = "caller",
    compress_weights: bool = False,
    name: str = NAME,
    records: str | PathLike[str] | None = None,
) -> Artifact:
    """Compile a model for a target.

    Parameters
    ----------
    target   : name of a target ("host" is this machine), path of a target file, or a Target.
    threads  : how many threads one inference uses.
    sparsity : remove work that is known to give zero or a constant; never changes a result bit.
    io       : "onnx" takes and gives what the ONNX model does; "int8" the 8-bit tensors that its inputs are quantized
               to and its outputs dequantized from, whose scale and zero point are in the artifact's specs (an output
               that is a float softmax, sigmoid or tanh becomes int8 with TensorFlow Lite's: 1/256 and -128, of tanh
               1/128 and 0); "int8-inputs" takes those and gives what the ONNX model does.
    emit     : how a microcontroller's kernels are written: "object" compiled, or "c" as portable C;
               "tosa-mlir" compiled, and each subgraph of an Ethos-U besides as MLIR text.
    io_memory : who has the memory of a microcontroller's inputs and outputs: "caller", or "workspace", which then is
               used again for other tensors.
    compress_weights : store a microcontroller's weights without their zeros where that saves flash. They are unpacked
               tile by tile in every inference, and no kernel skips zeros: that is faster, but takes more flash where
               zeros are anywhere. Never changes a result bit.
    name     : of the model in C, where its functions are ``tvmopt_<name>_run`` and so on: several models in one program
               need different names.
    records  : what ``tune`` wrote, or a file of ``tvmopt records export``: kernels found there get their fastest
               schedules. Without it, and for other kernels, those that tvmopt ships do. Never changes a result bit.

    Raises
    ------
    TargetError, ModelError
    TuningError      : the records cannot be read.
    UnsupportedError : also for an input or output that is not quantized, where ``io`` asks for bytes; and for a model
                       whose workspace is larger than a microcontroller's memory.
    """
    from .. import backends, frontend, lowering
    from .. import target as targets
    from ..tuning import exchange
    from ..tuning.lookup import Lookup

    found = targets.get(target)
    check_threads(threads)
    if io not in ("onnx", "int8", "int8-inputs"):
        raise InputError(f"io is '{io}', none of 'onnx', 'int8', 'int8-inputs'")
    if emit not in ("object", "c", "tosa-mlir"):
        raise InputError(f"emit is '{emit}', none of 'object', 'c', 'tosa-mlir'")
    if io_memory not in ("caller", "workspace"):
        raise InputError(f"io_memory is '{io_memory}', neither 'caller' nor 'workspace'")
    check_name(name)
    loaded = as_model(model)
    frontend.require_static(loaded)
    regions, programs = grouped(loaded, found, sparsity, io), None
    if found.accelerator is not None:
        regions, programs = _offloaded(regions, found)
    with nullcontext() if records is None else exchange.open(Path(records)) as named:
        tuned = Lookup(found, named)
        with stage(f"lowering for {found.name}", loaded.source):
            lowered = lowering.lower(regions, found, threads, sparsity and not compress_weights, tuned)
    lowered = lowered.replace(tuned=tuple(tuned.used.values()))
    with stage(f"generating code for {found.name}", loaded.source):
        options = backends.Embedded(emit, io_memory, compress_weights)
        return backends.build(lowered, found, threads, options, programs, partial(_here, regions, sparsity), name)


def open(path: str | PathLike[str]) -> Artifact:
    """Load a saved artifact. Raises ArtifactError if it is damaged or not for this machine."""
    from .. import runtime

    with stage("opening", str(path)):
        return runtime.open(Path(path))


def as_model(model: Model | Source) -> Model:
    return model if isinstance(model, Model) else load(model)


def partitioned(regions: Model, target: Target) -> Model:
    """What the target's accelerator takes as subgraphs."""
    from .. import backends
    from ..passes.partition import partition

    assert target.accelerator is not None
    with stage(f"partitioning for {target.name}", regions.source):
        return partition(regions, target.accelerator.kind, backends.supports(target))


def _offloaded(regions: Model, target: Target) -> tuple[Model, Offloaded]:
    """What the target's accelerator takes as subgraphs, and what it computes for each."""
    from .. import backends

    model = partitioned(regions, target)
    with stage(f"compiling for the accelerator of {target.name}", regions.source):
        return model, backends.offload(model, target)


def accelerated(model: Model, target: Target, sparsity: bool) -> tuple[Model, Offloaded]:
    """An imported model, partitioned for the target's accelerator."""
    return _offloaded(grouped(model, target, sparsity), target)


def simulated(model: Model, target: Target, sparsity: bool) -> Engine:
    """A model on this machine, as an Ethos-U beside its host would compute it."""
    from .. import backends

    split, parts = accelerated(model, target, sparsity)
    return backends.simulate(split, target, parts, partial(_here, split, sparsity))


def _here(split: Model, sparsity: bool) -> tuple[Model, Target]:
    """A partitioned model lowered for this machine."""
    from .. import lowering
    from .. import target as targets

    machine = targets.host()
    with stage(f"lowering for {machine.name}", split.source):
        return lowering.lower(split, machine, 1, sparsity), machine

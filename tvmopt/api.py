"""The stages put together: what ``import tvmopt`` offers.

Errors that are the user's to act on are ``tvmopt.errors.TvmoptError``; anything else that goes wrong inside a
stage is raised as ``InternalError``, which names the stage and the file. Progress is logged to "tvmopt".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError, InternalError, TuningError, TvmoptError, UnsupportedError
from .model import Model

if TYPE_CHECKING:
    import onnx

    from .backends import Offloaded
    from .backends.embedded import Emit, IoMemory
    from .backends.npu.expected import Expected
    from .compression import Compression, Prune, Quantize
    from .passes.pipeline import Io
    from .peers import Feeds, Runner
    from .report.bench import Comparison
    from .report.estimate import Estimate
    from .report.inspect import Inspection
    from .report.samples import Samples
    from .report.verify import Runnable, Verification
    from .runtime import Artifact
    from .runtime.artifact import Engine
    from .target import Target
    from .tuning.campaign import Campaign, Outcome

    Source = str | PathLike[str] | bytes | onnx.ModelProto

log = logging.getLogger(__name__)


def load(source: Source, shapes: Mapping[str, Sequence[int]] | None = None) -> Model:
    """Read an ONNX model: a path, its bytes, or a ModelProto.

    shapes : dimensions of inputs by name, for inputs with symbolic ones.

    Raises ModelError for an invalid model, UnsupportedError for one that asks for something unsupported.
    """
    from . import frontend

    with _stage("importing", _name(source)):
        return frontend.load(source, shapes)


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
    records: str | PathLike[str] | None = None,
) -> Artifact:
    """Compile a model for a target.

    Parameters
    ----------
    target   : name of a target ("host" is this machine), path of a target file, or a Target.
    threads  : how many threads one inference uses.
    sparsity : remove work that is known to give zero or a constant; never changes a result bit.
    io       : "onnx" takes and gives what the ONNX model does; "int8" the 8-bit tensors that its inputs are quantized
               to and its outputs dequantized from, whose scale and zero point are in the artifact's specs;
               "int8-inputs" takes those and gives what the ONNX model does.
    emit     : how a microcontroller's kernels are written: "object" compiled, or "c" as portable C;
               "tosa-mlir" compiled, and each subgraph of an Ethos-U besides as MLIR text.
    io_memory : who has the memory of a microcontroller's inputs and outputs: "caller", or "workspace", which then is
               used again for other tensors.
    compress_weights : store a microcontroller's weights without their zeros where that saves flash. They are unpacked
               tile by tile in every inference. Never changes a result bit.
    records  : what ``tune`` wrote, or a file of ``tvmopt records export``: kernels found there get their fastest
               schedules. Without it, and for other kernels, those that tvmopt ships do. Never changes a result bit.

    Raises
    ------
    TargetError, ModelError
    TuningError      : the records cannot be read.
    UnsupportedError : also for an input or output that is not quantized, where ``io`` asks for bytes; and for a model
                       whose workspace is larger than a microcontroller's memory.
    """
    from . import backends, frontend, lowering
    from . import target as targets
    from .passes import pipeline
    from .tuning import exchange
    from .tuning.lookup import Lookup

    found = targets.get(target)
    _check_threads(threads)
    if io not in ("onnx", "int8", "int8-inputs"):
        raise InputError(f"io is '{io}', none of 'onnx', 'int8', 'int8-inputs'")
    if emit not in ("object", "c", "tosa-mlir"):
        raise InputError(f"emit is '{emit}', none of 'object', 'c', 'tosa-mlir'")
    if io_memory not in ("caller", "workspace"):
        raise InputError(f"io_memory is '{io_memory}', neither 'caller' nor 'workspace'")
    loaded = _model(model)
    frontend.require_static(loaded)
    with _stage("optimizing", loaded.source):
        grouped = pipeline.run(loaded, sparsity=sparsity, io=io, requantize=found.requantize)
    programs = None
    if found.accelerator is not None:
        grouped, programs = _partitioned(grouped, found)
    with nullcontext() if records is None else exchange.open(Path(records)) as named:
        tuned = Lookup(found, named)
        with _stage(f"lowering for {found.name}", loaded.source):
            lowered = lowering.lower(grouped, found, threads, sparsity, tuned)
    lowered = lowered.replace(tuned=tuple(tuned.used.values()))
    with _stage(f"generating code for {found.name}", loaded.source):
        options = backends.Embedded(emit, io_memory, compress_weights)
        return backends.build(lowered, found, threads, options, programs, partial(_here, grouped, sparsity))


def _partitioned(grouped: Model, target: Target) -> tuple[Model, Offloaded]:
    """What the target's accelerator takes as subgraphs, and what it computes for each."""
    from . import backends
    from .passes.partition import partition

    assert target.accelerator is not None
    with _stage(f"compiling for the accelerator of {target.name}", grouped.source):
        model = partition(grouped, target.accelerator.kind, backends.supports(target))
        return model, backends.offload(model, target)


def _accelerated(model: Model, target: Target, sparsity: bool) -> tuple[Model, Offloaded]:
    """An imported model, partitioned for the target's accelerator."""
    from .passes import pipeline

    with _stage("optimizing", model.source):
        grouped = pipeline.run(model, sparsity=sparsity, requantize=target.requantize)
    return _partitioned(grouped, target)


def _simulated(model: Model, target: Target, sparsity: bool) -> Engine:
    """A model on this machine, as an Ethos-U beside its host would compute it."""
    from . import backends

    partitioned, parts = _accelerated(model, target, sparsity)
    return backends.simulate(partitioned, target, parts, partial(_here, partitioned, sparsity))


def _here(partitioned: Model, sparsity: bool) -> tuple[Model, Target]:
    """A partitioned model lowered for this machine."""
    from . import lowering
    from . import target as targets

    machine = targets.host()
    with _stage(f"lowering for {machine.name}", partitioned.source):
        return lowering.lower(partitioned, machine, 1, sparsity), machine


def open(path: str | PathLike[str]) -> Artifact:
    """Load a saved artifact. Raises ArtifactError if it is damaged or not for this machine."""
    from . import runtime

    with _stage("opening", str(path)):
        return runtime.open(Path(path))


def verify(
    model: Model | str | PathLike[str],
    target: str | Path | Target = "host",
    *,
    data: str | PathLike[str] | None = None,
    samples: int = 16,
    layer_samples: int = 8,
    threads: int = 1,
    sparsity: bool = True,
    records: str | PathLike[str] | None = None,
) -> Verification:
    """Compare the compiled model with ONNX Runtime, end to end and for every quantized tensor by itself.

    Parameters
    ----------
    data          : an .npz file of inputs, all of which are used (see ``report.samples.read``).
    samples       : how many random inputs to draw when there is no data.
    layer_samples : how many samples to compare layer by layer.
    records       : see ``compile``.

    Raises
    ------
    UnsupportedError : ONNX Runtime does not take the model.
    InputError       : the data does not fit the model.
    """
    from . import target as targets
    from .report import verify as comparison

    model = _model(model)
    found = targets.get(target)
    path = _path(model)
    inputs = _samples(model, None if data is None else Path(data), samples)
    artifact = compile(model, found, threads=threads, sparsity=sparsity, records=records)

    def build(proto: onnx.ModelProto) -> Runnable:
        if isinstance(found.accelerator, targets.EthosU):  # of every layer by itself: Vela has nothing to add
            return _simulated(load(proto, _bound(model)), found, sparsity)
        return compile(load(proto, _bound(model)), found, threads=threads, sparsity=sparsity, records=records)

    with _stage("verifying", model.source):
        accelerator = artifact.manifest.get("accelerator")
        return comparison.run(path, found.name, build, artifact, inputs, layer_samples, accelerator)


def bench(
    model: Model | Artifact | str | PathLike[str],
    target: str | Path | Target = "host",
    *,
    vs: Sequence[str] = ("onnxruntime",),
    threads: int = 1,
    sparsity: bool = True,
    records: str | PathLike[str] | None = None,
) -> Comparison:
    """Time an ONNX model in turn with other runtimes, all on the same random input.

    model : a model, or the path of an ONNX file; or an artifact (see ``open``), which is timed alone and as it
            was compiled, since other runtimes need the ONNX file.
    vs    : names of ``tvmopt.peers.NAMES``; one that cannot run the model is listed with the reason.
    records : see ``compile``.

    Raises UnsupportedError for a target whose accelerator is simulated here: the time of that says nothing.
    """
    from . import peers
    from . import target as targets
    from .report import bench as timing
    from .report import samples

    runners: dict[str, Runner] = {}
    refused: dict[str, str] = {}
    if isinstance(model, Model | str | PathLike):
        model = _model(model)
        found, name = targets.get(target).name, model.source
        _check_not_simulated(found, targets.get(target).accelerator)
        artifact = compile(model, target, threads=threads, sparsity=sparsity, records=records)
        feeds = next(iter(_samples(model, None, 1)))
        runners["tvmopt"] = _once(artifact, feeds)
        for peer in vs:
            log.info("preparing %s", peer)
            try:
                runners[peer] = peers.runner(peer, _path(model), feeds, threads)
            except peers.Refused as refusal:
                refused[peer] = str(refusal)
    else:
        found, name, threads = model.manifest["target"], model.manifest["source"], model.manifest["threads"]
        _check_not_simulated(found, model.manifest.get("accelerator"))
        runners["tvmopt"] = _once(model, next(iter(samples.random(model.inputs, {}, 1))))
        refused = dict.fromkeys(vs, "needs the ONNX model")
    return timing.compare(name, found, threads, runners, refused)


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
    from . import frontend
    from . import target as targets
    from .passes import pipeline
    from .tuning.board import Tracker
    from .tuning.budget import Budget
    from .tuning.campaign import Campaign, logged
    from .tuning.extract import extract
    from .tuning.local import LocalMeasurer
    from .tuning.page import Page
    from .tuning.records import Records
    from .tuning.rpc import RpcMeasurer

    found, limit = targets.get(target), Budget.parse(budget)
    _check_threads(threads)
    boards = None if tracker is None else Tracker.parse(tracker, key)
    several = models if isinstance(models, Sequence) and not isinstance(models, str | bytes) else [models]
    loaded = [_model(model) for model in several]
    grouped = []
    for model in loaded:
        frontend.require_static(model)
        with _stage("optimizing", model.source):
            grouped.append(pipeline.run(model, sparsity=sparsity, requantize=found.requantize))
    names = ", ".join(model.source for model in loaded)
    with _stage("tuning", names), Records(Path(records)) as database, logged(log_file):
        tasks = extract(grouped, found, threads, sparsity)
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


def estimate(
    model: Model | Source, target: str | Path | Target = "host", *, sparsity: bool = True
) -> Estimate | Expected:
    """Tell what a model costs on a target's accelerator, layer by layer.

    A systolic array is simulated: cycles, stalls, traffic and utilisation. For an Ethos-U these are Vela's estimates.

    Raises UnsupportedError for a target without an accelerator, and for a model of which it takes nothing.
    """
    from . import backends, frontend
    from . import target as targets
    from .report import estimate as estimation

    model, found = _model(model), targets.get(target)
    if found.accelerator is None:
        raise UnsupportedError(f"target {found.name} has no accelerator", hint="see tvmopt bench")
    frontend.require_static(model)
    partitioned, programs = _accelerated(model, found, sparsity)
    if not programs:
        node, reason = next(iter(partitioned.host_reasons.items()))
        raise UnsupportedError(
            f"the accelerator of {found.name} takes nothing of it", file=model.source, hint=f"'{node}': {reason}"
        )
    with _stage(f"estimating for {found.name}", model.source):
        if isinstance(found.accelerator, targets.EthosU):
            return backends.expected(partitioned, found, programs)
        return estimation.estimate(model.source, found.name, list(programs.values()), partitioned.host_reasons)


def inspect(model: Model | Source, *, sparsity: bool = True) -> Inspection:
    """Tell what a model is made of: where it runs in int8 and where in float and why, its MACs, bytes and zeros."""
    from .passes import pipeline
    from .report import inspect as inspection

    model = _model(model)
    with _stage("optimizing", model.source):
        return inspection.inspect(pipeline.run(model, sparsity=sparsity))


def compress(
    model: Model | str | PathLike[str],
    output: str | PathLike[str],
    *,
    prune: Prune | str | None = None,
    quantize: Quantize | None = None,
    data: str | PathLike[str] | None = None,
) -> Compression:
    """Prune an ONNX model by magnitude, quantize it with ONNX Runtime's quantizer, or both, and write it as ONNX.

    Nothing is trained: pruning is one shot, without fine-tuning. A float model is pruned, then quantized; of a QDQ
    model the quantized weights are pruned.

    Parameters
    ----------
    output   : the ONNX file to write.
    prune    : see ``compression.Prune``, also as its text: "channels:0.5", "2:4", "block16x1:0.8", "unstructured:0.9".
    quantize : see ``compression.Quantize``.
    data     : an .npz file of inputs and ``labels``, to measure accuracy with, before and after.

    Raises
    ------
    InputError       : there is nothing to do, the pattern is none, data does not fit, or the file cannot be written.
    UnsupportedError : no layer can be pruned in this way, or the model cannot be quantized.
    """
    from .compression import Compression, Prune
    from .compression.run import run as compress_file
    from .peers.onnxruntime import Session
    from .report import accuracy

    how = Prune.parse(prune) if isinstance(prune, str) else prune
    if how is None and quantize is None:
        raise InputError("there is nothing to do", hint="ask to prune, to quantize, or both")
    model = _model(model)
    path, output = _path(model), Path(output)
    labelled = None if data is None else _samples(model, Path(data), 0)
    if labelled is not None and labelled.labels is None:
        raise InputError("there are no labels to measure accuracy with", file=data, hint="add an array 'labels'")
    calibration = () if quantize is None else _samples(model, Path(quantize.calibration), 0)
    with _stage("compressing", model.source):
        done = compress_file(path, output, how, quantize, calibration)
    inspection = inspect(load(output, _bound(model)))
    before = after = None
    if labelled is not None:
        with _stage("measuring the accuracy of", model.source):
            before, after = (accuracy.measure(Session(one), labelled) for one in (done.before, output))
    return Compression(
        model=model.source,
        output=str(output),
        prune=None if how is None else str(how),
        quantize=None if quantize is None else quantize.activations,
        layers=done.zeros_before.layers,
        pruned_layers=done.pruned_layers,
        weights=done.zeros_before.weights,
        zero_weights_before=done.zeros_before.zero_weights,
        zero_weights_after=done.zeros_after.zero_weights,
        bytes_before=done.before.ByteSize(),
        bytes_after=output.stat().st_size,
        macs=inspection.macs,
        macs_after_folding=inspection.macs_after_folding,
        accuracy_before=before,
        accuracy_after=after,
        data=None if labelled is None else labelled.origin,
    )


def list_targets() -> list[Target]:
    """All targets that come with tvmopt."""
    from . import target as targets

    return [targets.get(name) for name in targets.names() if name != "host"]


def _model(model: Model | Source) -> Model:
    return model if isinstance(model, Model) else load(model)


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | PathLike) else "<memory>"


def _bound(model: Model) -> dict[str, list[int]]:
    """The shapes of the inputs without symbolic dimensions."""
    fixed = [spec for spec in model.inputs if not any(isinstance(dim, str) for dim in spec.shape)]
    return {spec.name: [int(dim) for dim in spec.shape] for spec in fixed}


def _path(model: Model) -> Path:
    """The ONNX file of a model, which ONNX Runtime reads for itself."""
    path = Path(model.source)
    if not path.is_file():
        raise InputError("the model has no ONNX file for ONNX Runtime to read", file=model.source)
    return path


def _samples(model: Model, data: Path | None, count: int) -> Samples:
    from . import frontend
    from .report import graph, samples

    frontend.require_static(model)
    ranges = graph.input_ranges(_path(model))
    if data is None:
        return samples.random(model.inputs, ranges, count)
    return samples.read(data, model.inputs, ranges)


def _once(artifact: Artifact, feeds: Feeds) -> Runner:
    return lambda: artifact.run(feeds)


def _check_not_simulated(target: str, accelerator: object) -> None:
    if accelerator is not None:
        raise UnsupportedError(
            f"the accelerator of {target} is simulated, and is not timed", hint="see tvmopt estimate"
        )


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise InputError(f"threads is {threads}, at least 1 is needed")


@contextmanager
def _stage(doing: str, file: str) -> Iterator[None]:
    log.info("%s %s", doing, file)
    try:
        yield
    except (TvmoptError, InternalError):
        raise
    except Exception as error:
        raise InternalError(doing, file, error) from error

"""An artifact beside ONNX Runtime and others: verify, bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnsupportedError
from ..model import Model
from .artifacts import as_model, compile, load, simulated
from .common import bound_shapes, log, onnx_file, samples_of, stage

if TYPE_CHECKING:
    import onnx

    from ..peers import Runner
    from ..report.bench import Comparison
    from ..report.verify import Runnable, Verification
    from ..runtime import Artifact
    from ..target import Target
    from .common import Source


def verify(
    model: Model | Source,
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
    from .. import target as targets
    from ..report import verify as comparison

    model = as_model(model)
    found = targets.get(target)

    def build(proto: onnx.ModelProto) -> Runnable:
        if isinstance(found.accelerator, targets.EthosU):  # of every layer by itself: Vela has nothing to add
            return simulated(load(proto, bound_shapes(model)), found, sparsity)
        return compile(load(proto, bound_shapes(model)), found, threads=threads, sparsity=sparsity, records=records)

    with onnx_file(model) as path, stage("verifying", model.source):
        inputs = samples_of(model, path, None if data is None else Path(data), samples)
        artifact = compile(model, found, threads=threads, sparsity=sparsity, records=records)
        accelerator = artifact.manifest.get("accelerator")
        result = comparison.run(path, found.name, build, artifact, inputs, layer_samples, accelerator)
        return replace(result, model=model.source)


def bench(
    model: Model | Artifact | Source,
    target: str | Path | Target = "host",
    *,
    vs: Sequence[str] = ("onnxruntime",),
    threads: int = 1,
    sparsity: bool = True,
    records: str | PathLike[str] | None = None,
) -> Comparison:
    """Time an ONNX model in turn with other runtimes, all on the same random input.

    model : a model; or an artifact (see ``open``), which is timed alone and as it was compiled, since other runtimes
            need the ONNX model.
    vs    : names of ``tvmopt.peers.NAMES``; one that cannot run the model is listed with the reason.
    records : see ``compile``.

    Raises UnsupportedError for a target whose accelerator is simulated here: the time of that says nothing.
    """
    from .. import peers
    from .. import target as targets
    from ..report import bench as timing
    from ..report import samples
    from ..runtime import Artifact

    runners: dict[str, Runner] = {}
    if isinstance(model, Artifact):
        found, name, threads = model.manifest["target"], model.manifest["source"], model.manifest["threads"]
        _check_not_simulated(found, model.manifest.get("accelerator"))
        runners["tvmopt"] = model.bind(next(iter(samples.random(model.inputs, {}, 1))))
        return timing.compare(name, found, threads, runners, dict.fromkeys(vs, "needs the ONNX model"))
    model, refused = as_model(model), {}
    found, name = targets.get(target).name, model.source
    _check_not_simulated(found, targets.get(target).accelerator)
    with onnx_file(model) as path:
        artifact = compile(model, target, threads=threads, sparsity=sparsity, records=records)
        feeds = next(iter(samples_of(model, path, None, 1)))
        runners["tvmopt"] = artifact.bind(feeds)
        for peer in vs:
            log.info("preparing %s", peer)
            try:
                runners[peer] = peers.runner(peer, path, feeds, threads)
            except peers.Refused as refusal:
                refused[peer] = str(refusal)
        return timing.compare(name, found, threads, runners, refused)


def _check_not_simulated(target: str, accelerator: object) -> None:
    if accelerator is not None:
        raise UnsupportedError(
            f"the accelerator of {target} is simulated, and is not timed", hint="see tvmopt estimate"
        )

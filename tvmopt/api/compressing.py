"""Making models that are worth compiling: compress."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..model import Model
from .artifacts import as_model, load
from .common import bound_shapes, onnx_file, samples_of, stage
from .describing import inspect

if TYPE_CHECKING:
    from ..compression import Compression, Prune, Quantize
    from .common import Source


def compress(
    model: Model | Source,
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
    from ..compression import Compression, Prune
    from ..compression.run import run as compress_file
    from ..peers.onnxruntime import Session
    from ..report import accuracy

    how = Prune.parse(prune) if isinstance(prune, str) else prune
    if how is None and quantize is None:
        raise InputError("there is nothing to do", hint="ask to prune, to quantize, or both")
    model = as_model(model)
    output = Path(output)
    before = after = None
    with onnx_file(model) as path:
        labelled = None if data is None else samples_of(model, path, Path(data), 0)
        if labelled is not None and labelled.labels is None:
            raise InputError("there are no labels to measure accuracy with", file=data, hint="add an array 'labels'")
        calibration = () if quantize is None else samples_of(model, path, Path(quantize.calibration), 0)
        with stage("compressing", model.source):
            done = compress_file(path, output, how, quantize, calibration)
    inspection = inspect(load(output, bound_shapes(model)))
    if labelled is not None:
        with stage("measuring the accuracy of", model.source):
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

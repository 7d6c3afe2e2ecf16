"""Float ONNX -> QDQ ONNX, by ONNX Runtime's quantizer."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..errors import UnsupportedError
from ..peers import Feeds
from ..peers.onnxruntime import Session

OPSET = 13
"""The first with scales per channel."""

_ACTIVATIONS = {"int8": quantization.QuantType.QInt8, "uint8": quantization.QuantType.QUInt8}
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold batch norms and constants and infer shapes, as ONNX Runtime wants it before it quantizes.

    Raises UnsupportedError for a model that is quantized already, that ONNX Runtime does not take, or whose opset
    is below 13 and cannot be converted.
    """
    node = next((n for n in model.graph.node if n.op_type in _QUANTIZED or n.op_type.startswith("QLinear")), None)
    if node is not None:
        reason = f"the model is quantized already, it has a {node.op_type}"
        raise UnsupportedError(reason, node=node.name or node.output[0], hint="only prune it")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    if opset < OPSET:
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # its converters raise whatever they like
            first = str(error).strip().splitlines()[0]
            raise UnsupportedError(f"opset {opset} cannot be converted to {OPSET}: {first}") from None
    Session(model)  # where it is refused, the quantizer would log a traceback and go on
    return _through_files(model, lambda old, new: quant_pre_process(old, new, skip_symbolic_shape=True))


def quantize(
    model: onnx.ModelProto, activations: Literal["int8", "uint8"], samples: Iterable[Feeds]
) -> onnx.ModelProto:
    """Quantize a prepared model: int8 weights per output channel, activations by the min and max over the samples."""
    return _through_files(
        model,
        lambda old, new: quantization.quantize_static(
            old,
            new,
            _Samples(samples),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=_ACTIVATIONS[activations],
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        ),
    )


class _Samples(quantization.CalibrationDataReader):
    def __init__(self, samples: Iterable[Mapping[str, np.ndarray]]) -> None:
        self._samples: Iterator[Mapping[str, np.ndarray]] = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        feeds = next(self._samples, None)
        return None if feeds is None else dict(feeds)


def _through_files(model: onnx.ModelProto, step: Callable[[Path, Path], None]) -> onnx.ModelProto:
    """Run a step of the quantizer from file to file: it moves the data out of a model that it gets in memory."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        old, new = Path(folder) / "old.onnx", Path(folder) / "new.onnx"
        onnx.save(model, old)
        try:
            step(old, new)
        except Exception as error:  # it raises whatever it meets
            reason = f"ONNX Runtime's quantizer fails on it: {type(error).__name__}: {str(error).splitlines()[0]}"
            raise UnsupportedError(reason) from error
        return onnx.load(new)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer's advice goes to the root logger, which would print it."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)

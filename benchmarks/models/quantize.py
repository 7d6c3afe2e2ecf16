"""Post-training quantization with ONNX Runtime's own quantizer: per channel, min-max ranges."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

ACTIVATIONS = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
FORMATS = {"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}
STATIC = tuple(f"{activation}-{form}" for activation in ACTIVATIONS for form in FORMATS)


class _Samples(CalibrationDataReader):
    def __init__(self, samples: list[dict[str, np.ndarray]]) -> None:
        self._samples: Iterator[dict[str, np.ndarray]] = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


def quantize(model: ModelProto, variant: str, samples: list[dict[str, np.ndarray]]) -> ModelProto:
    """Quantize to ``variant``: "u8-qdq", "u8-qoperator", "s8-qdq", "s8-qoperator" or "dynamic".

    Weights are int8 in all of them, activations uint8 or int8 with zero points.
    """
    add_pre_process_metadata(model)  # there is nothing to prepare: no batch normalization to fold, shapes are static
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        if variant == "dynamic":
            quantize_dynamic(model, path, weight_type=QuantType.QInt8, per_channel=True)
        else:
            activation, form = variant.split("-")
            quantize_static(
                model,
                path,
                _Samples(samples),
                quant_format=FORMATS[form],
                per_channel=True,
                activation_type=ACTIVATIONS[activation],
                weight_type=QuantType.QInt8,
            )
        return onnx.load(path)

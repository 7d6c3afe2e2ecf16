"""One bad model of every kind that issue reports ask for, each a few changes away from a good one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..report.models import residual

Change = Callable[[onnx.ModelProto], object]


def node(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    """The first node with this op."""
    return next(node for node in model.graph.node if node.op_type == op)


def replace(model: onnx.ModelProto, position: int, array: np.ndarray) -> None:
    """Give the Conv's output quantization (position 1: scale, 2: zero point) another constant."""
    quantize = next(node for node in model.graph.node if list(node.output) == ["q1"])
    tensor = numpy_helper.from_array(array, f"bad_{position}")
    model.graph.initializer.append(tensor)
    for user in model.graph.node:
        if user.op_type == "QuantizeLinear" and user.output[0] == "q1":
            user.input[position] = tensor.name
        if user.op_type == "DequantizeLinear" and user.input[0] == quantize.output[0]:
            user.input[position] = tensor.name


def external(location: str, length: int) -> Change:
    """Move the Conv's weight to a file."""

    def change(model: onnx.ModelProto) -> None:
        name = model.graph.node[2].input[0]
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)

    return change


def _cycle(model: onnx.ModelProto) -> None:
    node(model, "Relu").input[0] = "q1"


def _duplicate(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = "q1"
    model.graph.output[-1].name = "q1"


def _empty(model: onnx.ModelProto) -> None:
    del model.graph.node[:]


def _axis(model: onnx.ModelProto) -> None:
    node(model, "Softmax").attribute.append(helper.make_attribute("axis", 7))


def _attribute(model: onnx.ModelProto) -> None:
    node(model, "Conv").attribute.append(helper.make_attribute("auto_pad", "SOMEHOW"))


# name -> the change, and what the message must say besides the file's name
CHANGES: dict[str, tuple[Change, str]] = {
    "unknown op": (lambda m: setattr(node(m, "Add"), "op_type", "Nonsense"), "Nonsense"),
    "unknown domain": (lambda m: setattr(node(m, "Add"), "domain", "nobody"), "nobody"),
    "bad attribute": (_attribute, "auto_pad"),
    "missing scale": (lambda m: node(m, "QuantizeLinear").input.__delitem__(slice(1, 3)), "scale"),
    "NaN scale": (lambda m: replace(m, 1, np.float32(np.nan)), "scale"),
    "zero scale": (lambda m: replace(m, 1, np.float32(0)), "scale"),
    "negative scale": (lambda m: replace(m, 1, np.float32(-0.1)), "scale"),
    "zero point dtype": (lambda m: replace(m, 2, np.float32(3)), "y_zero_point"),
    "zero point range": (lambda m: replace(m, 2, np.int32(300)), "y_zero_point"),
    "axis": (_axis, "axis"),
    "cycle": (_cycle, "cycle"),
    "duplicate names": (_duplicate, "q1"),
    "external data escapes": (external("../weights.bin", 216), "weights.bin"),
    "external data too short": (external("weights.bin", 216), "weights.bin"),
    "external data missing": (external("nowhere.bin", 216), "nowhere.bin"),
    "empty graph": (_empty, "graph"),
}


def write(folder: Path, name: str) -> Path:
    """Write one of ``CHANGES``' models; also the file that its external data may lie in, too short."""
    model = residual()
    CHANGES[name][0](model)
    (folder / "weights.bin").write_bytes(b"x" * 10)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path

"""What reports need to know of an ONNX graph: which tensors depend on the input, and where they are quantized."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir

_LAYOUT = {"Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_PICK = {"Gather", "MaxPool", "Pad", "Relu", "Resize", "Slice", "Split"}
MOVES = _LAYOUT | _PICK
"""Ops whose outputs hold values of their first input (or zero), so that its quantization range is theirs too."""


def dependent(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield every value that is computed from an input of the graph, in graph order."""
    live = {value for value in graph.inputs if value.name not in graph.initializers}
    for node in graph:
        if any(value in live for value in node.inputs if value is not None):
            for output in node.outputs:
                if output.name:
                    live.add(output)
                    yield output


def input_ranges(path: Path) -> dict[str, tuple[float, float] | None]:
    """``input_range`` of every input of an ONNX file, by name."""
    return {str(value.name): input_range(value) for value in ir.load(path).graph.inputs}


def input_range(value: ir.Value) -> tuple[float, float] | None:
    """Lowest and highest real value of the first QuantizeLinear that ``value`` reaches through moves."""
    for node, index in value.uses():
        if index != 0:
            continue
        if node.op_type == "QuantizeLinear":
            params = quantization(node)
            if params is not None:
                scale, zero_point = params
                limits = np.iinfo(zero_point.dtype)
                low, high = ((limit - int(zero_point)) * float(scale) for limit in (limits.min, limits.max))
                return low, high
        elif node.op_type in MOVES:
            found = input_range(node.outputs[0])
            if found is not None:
                return found
    return None


def output_scale(value: ir.Value) -> float | None:
    """Scale of the DequantizeLinear that a float ``value`` comes from through moves; None if there is none."""
    node = value.producer()
    while node is not None and node.op_type in MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type != "DequantizeLinear":
        return None
    params = quantization(node)
    return None if params is None else float(params[0])


def quantization(node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear, if they are constant and per tensor."""
    scale = _constant(node, 1)
    if scale is None or scale.size != 1:
        return None
    zero_point = _constant(node, 2)
    if zero_point is None:
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            return None
        zero_point = np.zeros((), np.uint8)
    if zero_point.dtype.kind not in "iu":
        return None
    return scale.reshape(()), zero_point.reshape(())


def _constant(node: ir.Node, index: int) -> np.ndarray | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()

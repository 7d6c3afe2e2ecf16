"""What goes in and out: shapes, types, and the scale of a tensor that is itself quantized."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import tvm
from tvm import relax, tirx

from ..errors import UnsupportedError
from ..model import TensorSpec
from .fold import constant

# Operators that give some of the values they take, as they are.
_MOVES = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "GlobalMaxPool", "Pad", "Reshape", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip


def of_inputs(graph: ir.Graph, mod: tvm.ir.IRModule) -> tuple[TensorSpec, ...]:
    """The specs of the graph's inputs; one is quantized when all that read it dequantize it alike."""
    specs = []
    for value, var in zip(graph.inputs, mod["main"].params, strict=True):
        found = {_parameters(node) if node.op_type == "DequantizeLinear" else (None, None) for node in _readers(value)}
        specs.append(_spec(str(value.name), var.ty, found.pop() if len(found) == 1 else (None, None)))
    return tuple(specs)


def of_outputs(graph: ir.Graph, mod: tvm.ir.IRModule, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The specs of the graph's outputs, called ``names``; one is quantized when a QuantizeLinear made it."""
    returned = mod["main"].ret_ty
    types = [returned] if len(names) == 1 else returned.fields
    specs = []
    for value, name, ty in zip(graph.outputs, names, types, strict=True):
        node = value.producer()
        while node is not None and node.op_type in _MOVES and node.inputs[0] is not None:
            node = node.inputs[0].producer()
        made = node is not None and node.op_type == "QuantizeLinear"
        specs.append(_spec(name, ty, _parameters(node) if made else (None, None)))
    return tuple(specs)


def _readers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read a value, moves looked through."""
    return [
        reader
        for node in value.consumers()
        for reader in (_readers(node.outputs[0]) if node.op_type in _MOVES else [node])
    ]


def _parameters(node: ir.Node) -> tuple[float | None, int | None]:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear that has constant ones, per tensor."""
    scale, zero = constant(node.inputs[1]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if scale is None or scale.size != 1:
        return None, None
    return float(scale.item()), 0 if zero is None else int(zero.item())


def _spec(name: str, ty: relax.TensorType, quantization: tuple[float | None, int | None]) -> TensorSpec:
    if not isinstance(ty, relax.TensorType):
        raise UnsupportedError(f"the graph output '{name}' is not a tensor")
    if not isinstance(ty.shape, relax.ShapeExpr):
        raise UnsupportedError(f"the shape of the graph output '{name}' depends on the data")
    shape = tuple(int(dim) if isinstance(dim, tirx.IntImm) else str(dim) for dim in ty.shape)
    return TensorSpec(name, shape, str(ty.dtype.dtype), *quantization)

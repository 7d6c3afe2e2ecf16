"""Nodes whose inputs are all constants -> a constant; ``Shape`` and ``Size`` of a static shape likewise, and what has
no elements.

Weights that are quantized stay so: DequantizeLinear is never folded, so nothing behind it is.
QuantizeLinear of a constant is: it leaves the quantized weight.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

# Elements above which constants are not made out of smaller ones (Expand, Tile, ConstantOfShape, ...).
_LARGE = 1 << 20

_NEVER = {"DequantizeLinear", "Bernoulli", "Multinomial"}


def fold_constants(model: ir.Model) -> bool:
    """Replace, in order, every node that can be computed now; return whether there was one."""
    changed = False
    for node in list(model.graph):
        arrays = _evaluate(node, model.opset_imports)
        if arrays is not None:
            for output, array in zip(node.outputs, arrays, strict=True):
                output.replace_all_uses_with(add_constant(model.graph, array, output.name), replace_graph_outputs=True)
            model.graph.remove(node, safe=True)
            changed = True
    return changed


def add_constant(graph: ir.Graph, array: np.ndarray, name: str | None) -> ir.Value:
    """A new initializer; it takes ``name``, which must be free once the node that is folded has gone."""
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def constant(value: ir.Value | None) -> np.ndarray | None:
    """The array of a value that is an initializer."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _evaluate(node: ir.Node, opsets: dict[str, int]) -> list[np.ndarray] | None:
    """The node's outputs, when they are known now."""
    if node.domain or node.op_type in _NEVER or node.op_type.startswith("Random"):
        return None
    if node.op_type in ("Shape", "Size"):
        return _shape(node)
    empty = [_empty(value) for value in node.outputs]
    if all(array is not None for array in empty):
        return [array for array in empty if array is not None]
    inputs = [constant(value) for value in node.inputs]
    if any(value is not None and array is None for value, array in zip(node.inputs, inputs, strict=True)):
        return None
    known = [value.shape.numpy() for value in node.outputs if value.shape is not None and value.shape.is_static()]
    if sum(map(math.prod, known)) > max([_LARGE, *(array.size for array in inputs if array is not None)]):
        return None
    feeds = {value.name: array for value, array in zip(node.inputs, inputs, strict=True) if value is not None}
    proto = ir.to_proto(node)
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in proto.attribute):
        return None
    graph = onnx.GraphProto(name=node.name, node=[proto])  # alone, a node would mean what it does in the newest opset
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in feeds)
    graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in node.outputs)
    try:
        arrays: Any = ReferenceEvaluator(graph, opsets=opsets).run(None, feeds)
    except Exception:  # an operator, or a case of one, that onnx.reference lacks: it stays a node
        return None
    return arrays if all(isinstance(array, np.ndarray) for array in arrays) else None


def _empty(value: ir.Value) -> np.ndarray | None:
    """A tensor without elements is a constant."""
    if value.dtype is None or value.shape is None or not value.shape.is_static() or math.prod(value.shape.numpy()):
        return None
    return np.zeros(value.shape.numpy(), value.dtype.numpy())


def _shape(node: ir.Node) -> list[np.ndarray] | None:
    value = node.inputs[0]
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    shape = np.array(value.shape.numpy(), np.int64)
    if node.op_type == "Size":
        return [np.array(shape.prod(), np.int64)]
    return [shape[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(shape))]]

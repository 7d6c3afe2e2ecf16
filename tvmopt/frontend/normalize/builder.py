"""What a rewrite rule writes with: the nodes that take the place of one node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from ..fold import add_constant, constant


class Builder:
    """Collects nodes; the new ones carry the old one's name, so that a message about them names what the file says.

    Attributes
    ----------
    node  : the node to be replaced.
    opset : version of the ONNX operators in this model.
    """

    def __init__(self, node: ir.Node, opset: int) -> None:
        assert node.graph is not None
        self.node = node
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self._graph = node.graph

    def input(self, index: int) -> ir.Value | None:
        """Input ``index`` of the node, None when it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: ir.convenience.SupportedAttrTypes) -> ir.Value:
        """Add a node with one output."""
        return self.op_multi(op_type, inputs, 1, **attributes)[0]

    def op_multi(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        outputs: int,
        **attributes: ir.convenience.SupportedAttrTypes,
    ) -> Sequence[ir.Value]:
        """Add a node with several outputs."""
        attrs = ir.convenience.convert_attributes({k: v for k, v in attributes.items() if v is not None})
        node = ir.Node("", op_type, inputs, attrs, num_outputs=outputs, name=self.node.name)
        for index, value in enumerate(node.outputs):
            value.name = self._fresh(f"{op_type}{index or ''}")
        self.nodes.append(node)
        return node.outputs

    def constant(self, array: np.ndarray | np.generic) -> ir.Value:
        """Add an initializer."""
        return add_constant(self._graph, np.asarray(array), self._fresh("constant"))

    def filled(self, value: float, shape: tuple[int, ...], like: ir.Value | None) -> ir.Value:
        """An initializer of one number, of the type that ``like`` has."""
        assert like is not None and like.dtype is not None
        return self.constant(np.full(shape, value, like.dtype.numpy()))

    def adopt(self, graph: ir.Graph) -> Sequence[ir.Value]:
        """Move the nodes of a subgraph here; its outputs."""
        outputs = list(graph.outputs)
        graph.outputs.clear()
        for value in list(graph.initializers.values()):
            assert value.const_value is not None
            moved = self.constant(value.const_value.numpy())
            value.replace_all_uses_with(moved)
            outputs = [moved if output is value else output for output in outputs]
        nodes = list(graph)
        graph.remove(nodes)
        for node in nodes:
            for value in node.outputs:
                value.name = self._fresh(value.name or "unused")
        self.nodes.extend(nodes)
        return outputs

    def _fresh(self, what: str) -> str:
        """A name no value of the file has: the replaced node's first output, then what it is, then a number."""
        count = self._graph.meta["tvmopt.fresh"] = self._graph.meta.get("tvmopt.fresh", 0) + 1
        first = next((value.name for value in self.node.outputs if value.name), self.node.name)
        return f"{first}//{what}{count}"

    def kept(self, *drop: str) -> dict[str, ir.convenience.SupportedAttrTypes]:
        """The node's own attributes, without those named."""
        return {name: attribute.value for name, attribute in self.node.attributes.items() if name not in drop}

    def dequantize(
        self, x: ir.Value, scale: ir.Value, zero_point: ir.Value | None, axis: int | None = None
    ) -> ir.Value:
        """``(x - zero_point) * scale`` in float32; a single zero point serves every channel of ``axis``."""
        return self.op("DequantizeLinear", x, self._float32(scale), self._like(zero_point, scale), axis=axis)

    def quantize(
        self, x: ir.Value, scale: ir.Value, zero_point: ir.Value | None, like: ir.Value | None = None
    ) -> ir.Value:
        """``saturate(round(x / scale) + zero_point)`` in float32; a zero point left out is 0, of ``like``'s type."""
        if zero_point is None and like is not None and like.dtype is not None:
            zero_point = self.constant(np.zeros((), like.dtype.numpy()))
        return self.op("QuantizeLinear", x, self._float32(scale), zero_point)

    def product(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """``a * b`` of two scales in their own precision, computed now when both are constants."""
        left, right = constant(a), constant(b)
        if left is None or right is None:
            return self.op("Mul", a, b)
        return self.constant(np.multiply(left, right, dtype=left.dtype))

    def _float32(self, scale: ir.Value) -> ir.Value:
        if scale.dtype not in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
            return scale
        array = constant(scale)
        if array is None:
            return self.op("Cast", scale, to=ir.DataType.FLOAT)
        return self.constant(array.astype(np.float32))

    def _like(self, zero_point: ir.Value | None, scale: ir.Value) -> ir.Value | None:
        array, shape = constant(zero_point), scale.shape
        if array is None or shape is None or array.size != 1 or not shape.is_static() or array.shape == shape.numpy():
            return zero_point
        return self.constant(np.broadcast_to(array.reshape(()), shape.numpy()).copy())


Rule = Callable[[Builder], Sequence[ir.Value] | None]
"""Gives the values that replace the node's outputs that are used, in order, or None to leave the node as it is."""


def rank(value: ir.Value | None) -> int | None:
    """Number of dimensions, None when it is not known."""
    return None if value is None or value.shape is None else len(value.shape)


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape, None when it is not known to the last dimension."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())


def size(value: ir.Value | None) -> int | None:
    """Number of elements, None when it is not known."""
    shape = static_shape(value)
    return None if shape is None else math.prod(shape)

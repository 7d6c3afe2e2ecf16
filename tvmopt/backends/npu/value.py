"""Tensors of a subgraph in a TOSA graph: int8, but for indices, and in the memory order that suits the operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...quant.order import Order, channels_last, plain, same_memory
from ...quant.params import QParams
from .graph import Graph, Tensor


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the subgraph.

    order : which ONNX axis each axis of the TOSA tensor is.
    """

    tensor: Tensor
    order: Order

    @staticmethod
    def plain(tensor: Tensor) -> Value:
        """A TOSA tensor with its axes as ONNX has them."""
        return Value(tensor, plain(len(tensor.shape)))

    @staticmethod
    def last(tensor: Tensor) -> Value:
        """A TOSA tensor with its channels last."""
        return Value(tensor, channels_last(len(tensor.shape)))

    @property
    def shape(self) -> tuple[int, ...]:
        """As in ONNX."""
        sizes = dict(zip(self.order, self.tensor.shape, strict=True))
        return tuple(sizes[axis] for axis in range(len(self.order)))

    def permuted(self, axes: Sequence[int]) -> Value:
        """ONNX Transpose: nothing moves, the same memory is another tensor."""
        return Value(self.tensor, tuple(list(axes).index(axis) for axis in self.order))


def fetch(graph: Graph, value: Value, order: Order) -> Tensor:
    """The tensor of a value in an order: as it is, reshaped, or transposed."""
    if value.order == order:
        return value.tensor
    shape = [value.shape[axis] for axis in order]
    if same_memory(value.order, order, value.shape):
        return graph.reshape(value.tensor, shape)
    permutation = [value.order.index(axis) for axis in order]
    return graph.add("TRANSPOSE", [value.tensor], shape, "int8", permutation)


def reshaped(graph: Graph, value: Value, shape: Sequence[int]) -> Value:
    """ONNX Reshape, which reads the elements in ONNX order."""
    return Value.plain(graph.reshape(fetch(graph, value, plain(len(value.order))), shape))


def sliced(graph: Graph, value: Value, first: Sequence[int], shape: Sequence[int]) -> Value:
    """SLICE, where it is not all of the value; ``first`` and ``shape`` as ONNX has the axes."""
    order = value.order
    return Value(graph.slice(value.tensor, [first[a] for a in order], [shape[a] for a in order]), order)


def split(graph: Graph, value: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    """A SLICE for each of the parts that lie one after the other along an ONNX axis."""
    parts, first, shape = [], [0] * len(value.order), list(value.shape)
    for size in sizes:
        shape[axis] = size
        parts.append(sliced(graph, value, first, shape))
        first[axis] += size
    return parts


def concatenated(graph: Graph, parts: Sequence[Value], axis: int) -> Value:
    """CONCAT of values of the same parameters."""
    order = parts[0].order
    tensors = [fetch(graph, part, order) for part in parts]
    at = order.index(axis)
    shape = list(tensors[0].shape)
    shape[at] = sum(tensor.shape[at] for tensor in tensors)
    return Value(graph.add("CONCAT", tensors, shape, "int8", at), order)


def image(graph: Graph, value: Value) -> Tensor:
    """A tensor [N, C, W] or [N, C, H, W] as TOSA has images: [N, H, W, C]."""
    tensor = fetch(graph, value, channels_last(len(value.order)))
    return tensor if len(tensor.shape) == 4 else graph.reshape(tensor, (tensor.shape[0], 1, *tensor.shape[1:]))


def of_image(graph: Graph, tensor: Tensor, rank: int) -> Value:
    """Back from [N, H, W, C] to a value of the rank it had."""
    return Value.last(tensor if rank == 4 else graph.reshape(tensor, (tensor.shape[0], *tensor.shape[2:])))


def signed(params: QParams) -> QParams:
    """Parameters of the int8 tensor that stands for one of the model: uint8 is stored 128 lower."""
    return params if params.dtype == "int8" else params.shifted()

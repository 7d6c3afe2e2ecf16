"""The layers of an ONNX graph that have weights to prune, and where these are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

_STORED = {"float16", "float32", "float64", "int8", "uint8", "int32"}


@dataclass(frozen=True)
class Constant:
    """An initializer that a node reads: float, float and quantized on the way, or quantized behind a DequantizeLinear.

    scale and zero_point broadcast with the initializer; 1 and 0 for a float one.
    shared : whether others read it too.
    """

    value: ir.Value
    scale: np.ndarray
    zero_point: np.ndarray
    shared: bool

    @classmethod
    def of(cls, value: ir.Value | None) -> Constant | None:
        """The constant behind an input of a node, if it is one of a known type."""
        if value is None:
            return None
        readers = [value]
        scale, zero_point = np.ones(()), np.zeros((), np.int32)
        dequantize = _producer(value, "DequantizeLinear")
        if dequantize is not None:
            readers.append(dequantize.inputs[0])
            quantize = _producer(readers[-1], "QuantizeLinear")
            if quantize is not None:
                readers.append(quantize.inputs[0])
            else:
                found = _parameters(dequantize)
                if found is None:
                    return None
                scale, zero_point = found
        stored = readers[-1]
        if stored.const_value is None or stored.const_value.numpy().dtype.name not in _STORED:
            return None
        return cls(stored, scale, zero_point, any(len(one.uses()) > 1 or one.is_graph_output() for one in readers))

    @property
    def array(self) -> np.ndarray:
        return self.value.const_value.numpy()

    def is_zero(self) -> np.ndarray:
        """Which elements stand for zero."""
        return np.broadcast_to(self.array == self.zero_point, self.array.shape)

    def real(self) -> np.ndarray:
        """The values it stands for, in float64."""
        return (self.array.astype(np.float64) - self.zero_point) * self.scale

    def keep(self, mask: np.ndarray) -> int:
        """Set all elements outside the mask to zero; return how many were not."""
        lost = ~mask & ~self.is_zero()
        array = np.where(lost, self.zero_point, self.array).astype(self.array.dtype)
        self.value.const_value = ir.tensor(array, name=self.value.name)
        return int(lost.sum())

    def without_lowest(self) -> int:
        """Move int8 elements at -128 by one; return how many. Vela stores no weights for sparse NPUs that have any."""
        lowest = self.array == -128 if self.array.dtype == np.int8 else np.zeros(self.array.shape, bool)
        if lowest.any():
            self.value.const_value = ir.tensor(np.where(lowest, np.int8(-127), self.array), name=self.value.name)
        return int(lowest.sum())


@dataclass(frozen=True)
class Layer:
    """A Conv, Gemm or MatMul with constant weights.

    outputs_last : the weights are [inputs, outputs], not [outputs, inputs, *kernel].
    """

    node: ir.Node
    weight: Constant
    groups: int
    outputs_last: bool

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.weight.array.shape[1] == 1

    @property
    def bias(self) -> Constant | None:
        """The bias, if it is constant and has one element per output."""
        found = Constant.of(self.node.inputs[2]) if len(self.node.inputs) > 2 else None
        outputs = self.weight.array.shape[self.outputs_last]
        return found if found is not None and found.array.shape == (outputs,) else None

    def grouped(self, array: np.ndarray) -> np.ndarray:
        """What is shaped like the weights, as [groups, outputs, inputs, kernel positions] (of one group each)."""
        outputs_first = array.T if self.outputs_last else array
        outputs, inputs, *_ = outputs_first.shape
        return outputs_first.reshape(self.groups, outputs // self.groups, inputs, -1)

    def ungrouped(self, array: np.ndarray) -> np.ndarray:
        """The inverse of ``grouped``."""
        shape = self.weight.array.shape
        return array.reshape(shape[::-1]).T if self.outputs_last else array.reshape(shape)

    def zero_channels(self) -> np.ndarray:
        """Which outputs have no weights."""
        return self.grouped(self.weight.is_zero()).all(axis=(2, 3)).reshape(-1)

    def per_output(self, mask: np.ndarray) -> np.ndarray:
        """A mask of outputs as a mask of weights."""
        shape = self.weight.array.shape
        return np.broadcast_to(mask if self.outputs_last else mask.reshape(-1, *[1] * (len(shape) - 1)), shape)


def find(graph: ir.Graph) -> list[Layer]:
    """All layers, in graph order."""
    return list(_find(graph))


def _find(graph: ir.Graph) -> Iterator[Layer]:
    for node in graph:
        if node.domain or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight = Constant.of(node.inputs[1])
        if weight is None or weight.array.ndim < 2 or (node.op_type != "Conv" and weight.array.ndim != 2):
            continue
        outputs_last = node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.attributes.get_int("transB", 0))
        yield Layer(node, weight, node.attributes.get_int("group", 1), outputs_last)


def _producer(value: ir.Value, op: str) -> ir.Node | None:
    node = value.producer()
    return node if node is not None and node.op_type == op else None


def _parameters(node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and zero point of a DequantizeLinear of a constant, if they are constant, per tensor or per channel."""
    stored, *given = [value for value in node.inputs if value is not None]
    if any(value.const_value is None for value in (stored, *given)):
        return None
    arrays = [value.const_value.numpy() for value in given]
    if any(array.size > 1 and array.ndim != 1 for array in arrays):  # per block
        return None
    rank = len(stored.const_value.shape)
    shape = [1] * rank
    if rank:
        shape[node.attributes.get_int("axis", 1 if rank > 1 else 0)] = -1
    scale, zero_point = (array.reshape(shape) for array in (*arrays, np.zeros(1, np.int32))[:2])
    return scale.astype(np.float64), zero_point.astype(np.int32)

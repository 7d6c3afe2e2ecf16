"""A TOSA 1.0 graph: operators in order, on tensors whose memory is theirs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tosa_serializer as ts

from ...quant.fixed import Scale


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a graph.

    dtype : numpy name: "int8" or "int32"; "shape" for the operands that give shapes, which are int64.
    data  : its value where it is a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One operator, by its name in the specification."""

    op: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    attribute: ts.TosaSerializerAttribute


class Graph:
    """Grows operator by operator.

    Attributes
    ----------
    inputs, outputs, nodes : in order.
    constants : every one that a node uses, once.
    label     : the ONNX value that operators are being added for; names of their outputs begin with it.
    """

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}
        self.label = ""

    def input(self, shape: Sequence[int]) -> Tensor:
        """A new int8 input."""
        self.inputs.append(Tensor(f"input{len(self.inputs)}", tuple(shape), "int8"))
        return self.inputs[-1]

    def constant(self, values: np.typing.ArrayLike, dtype: str) -> Tensor:
        """A constant of the given dtype; one number is a tensor of shape [1]."""
        data = np.atleast_1d(np.asarray(values, "int64" if dtype == "shape" else dtype))
        key = (dtype, data.shape, data.tobytes())
        if key not in self.constants:
            self.constants[key] = Tensor(f"constant{len(self.constants)}", data.shape, dtype, data)
        return self.constants[key]

    def add(self, op: str, inputs: Sequence[Tensor], shape: Sequence[int], dtype: str, *attributes: object) -> Tensor:
        """Append an operator; returns its output.

        attributes : those that the specification lists, in its order and as ``tosa_serializer`` takes them.
        """
        attribute = ts.TosaSerializerAttribute()
        getattr(attribute, f"{_ATTRIBUTES[op]}Attribute")(*attributes)
        output = Tensor(f"{self.label}#{len(self.nodes)}", tuple(int(size) for size in shape), dtype)
        self.nodes.append(Node(op, tuple(inputs), output, attribute))
        return output

    def rescale(self, x: Tensor, scale: Scale, x_zp: int, y_zp: int, dtype: str) -> Tensor:
        """RESCALE: ``scale(x - x_zp) + y_zp``, saturated to dtype. scale : of one factor, or one per last axis."""
        multiplier, shift = np.atleast_1d(scale.multiplier), np.atleast_1d(scale.shift)
        if (multiplier == multiplier[0]).all() and (shift == shift[0]).all():
            multiplier, shift = multiplier[:1], shift[:1]
        operands = [x, self.constant(multiplier, "int32"), self.constant(shift, "int8")]
        operands += [self.constant(x_zp, x.dtype), self.constant(y_zp, dtype)]
        mode = ts.RoundingMode.SINGLE_ROUND
        return self.add("RESCALE", operands, x.shape, dtype, True, mode, multiplier.size > 1, False, False)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """RESHAPE, where the shape is another."""
        if tuple(shape) == x.shape:
            return x
        return self.add("RESHAPE", [x, self.constant(list(shape), "shape")], shape, x.dtype)

    def slice(self, x: Tensor, begins: Sequence[int], sizes: Sequence[int]) -> Tensor:
        """SLICE, where it is not all of the tensor."""
        if tuple(sizes) == x.shape:
            return x
        operands = [x, self.constant(list(begins), "shape"), self.constant(list(sizes), "shape")]
        return self.add("SLICE", operands, sizes, x.dtype)

    def clamp(self, x: Tensor, lowest: int, highest: int) -> Tensor:
        """CLAMP of an int8 tensor, where it leaves anything out."""
        if (lowest, highest) == (-128, 127):
            return x
        bounds = [[bound & 255] for bound in (lowest, highest)]
        return self.add("CLAMP", [x], x.shape, x.dtype, *bounds, ts.NanPropagationMode.PROPAGATE)

    def serialize(self, draft: bool = False) -> bytes:
        """The graph as a flatbuffer of TOSA 1.0; ``draft``: of the 1.1 draft, which is the serializer's own version."""
        version = (1, 1, 0, True) if draft else (1, 0, 0, False)
        serializer = ts.TosaSerializer("", ts.ConstMode.EMBED, *version)
        held = {}
        for tensor in self.inputs:
            held[tensor.name] = ts.TosaSerializerTensor(tensor.name, list(tensor.shape), _dtype(tensor))
            serializer.addInputTensor(held[tensor.name])
        for tensor in self.constants.values():
            serializer.addConst(list(tensor.shape), _dtype(tensor), tensor.data, tensor.name)
        for node in self.nodes:
            output = node.output
            block = serializer.currRegion.currBasicBlock
            held[output.name] = block.addTensor(output.name, list(output.shape), _dtype(output))
            names = [tensor.name for tensor in node.inputs]
            serializer.addOperator(getattr(ts.Op, node.op), names, [output.name], node.attribute)
        for tensor in self.outputs:
            serializer.addOutputTensor(held[tensor.name])
        return bytes(serializer.serialize())


def _dtype(tensor: Tensor) -> ts.DType:
    return getattr(ts.DType, tensor.dtype.upper())


_ATTRIBUTES = {
    "ADD": "Add",
    "ARGMAX": "ArgMax",
    "ARITHMETIC_RIGHT_SHIFT": "ArithmeticRightShift",
    "AVG_POOL2D": "AvgPool2d",
    "CLAMP": "Clamp",
    "CLZ": "Clz",
    "CONCAT": "Concat",
    "CONV2D": "Conv2d",
    "DEPTHWISE_CONV2D": "DepthwiseConv2d",
    "LOGICAL_LEFT_SHIFT": "LogicalLeftShift",
    "MATMUL": "MatMul",
    "MAX_POOL2D": "MaxPool2d",
    "MUL": "Mul",
    "PAD": "Pad",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_SUM": "ReduceSum",
    "RESCALE": "Rescale",
    "RESHAPE": "Reshape",
    "RESIZE": "Resize",
    "SLICE": "Slice",
    "SUB": "Sub",
    "TABLE": "Table",
    "TRANSPOSE": "Transpose",
    "TRANSPOSE_CONV2D": "TransposeConv2d",
}
"""What ``tosa_serializer`` calls the attributes of each operator."""

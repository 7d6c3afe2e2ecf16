"""Operators of ai.onnx that say nothing at inference, or say it the long way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..fold import constant
from .builder import Builder, Rule, size, static_shape

_PARTS = 64
"""Of a Concat, at most: TVM nests a condition for each, and what walks hundreds of them ends the process."""


def remove_identities(model: ir.Model) -> None:
    """Identity(x) -> x. A graph output keeps its name, so one that is also an input, a constant or an output stays."""
    for node in list(model.graph):
        if node.domain or node.op_type != "Identity":
            continue
        (x,), (y,) = node.inputs, node.outputs
        if y.is_graph_output():
            if x.producer() is None or x.is_graph_output():
                continue
            x.name, y.name = y.name, None
        y.replace_all_uses_with(x, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)


def _dropout(to: Builder) -> Sequence[ir.Value] | None:
    """Dropout -> Identity, and a mask of true, unless it is in training mode with a ratio other than 0."""
    ratio, training = to.input(1), to.input(2)
    if training is not None and not _is_zero(training) and not _is_zero(ratio):
        return None
    true = ir.tensor(np.array([True]))
    mask = to.op("ConstantOfShape", to.op("Shape", to.input(0)), value=true)
    return [to.op("Identity", to.input(0)), mask][: len(to.node.outputs)]


def _is_zero(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and not array.any()


def _cast_like(to: Builder) -> Sequence[ir.Value] | None:
    """CastLike(x, y) -> Cast(x) to the type of y."""
    like = to.input(1)
    if like is None or like.dtype is None:
        return None
    return [to.op("Cast", to.input(0), to=like.dtype, **to.kept())]


def _concat(to: Builder) -> Sequence[ir.Value] | None:
    """Concat(x, nothing, y) -> Concat(x, y): parts without elements are left out, as exporters write them.

    Concat of more than ``_PARTS`` -> Concat of Concats.
    """
    parts = [value for value in to.node.inputs if size(value) != 0]
    if not parts or (len(parts) == len(to.node.inputs) and len(parts) <= _PARTS):
        return None
    if len(parts) > _PARTS:
        parts = [to.op("Concat", *parts[i : i + _PARTS], **to.kept()) for i in range(0, len(parts), _PARTS)]
    return [to.op("Concat", *parts, **to.kept())] if len(parts) > 1 else [to.op("Identity", parts[0])]


def _split(to: Builder) -> Sequence[ir.Value] | None:
    """Split whose one output is all of x -> Identity; the others have no elements."""
    x = to.input(0)
    whole = static_shape(x)
    if x is None or x.dtype is None or whole is None or 0 in whole:
        return None
    values = []
    for shape in map(static_shape, to.node.outputs):
        if shape is None or (shape != whole and 0 not in shape):
            return None
        values.append(to.op("Identity", x) if shape == whole else to.constant(np.zeros(shape, x.dtype.numpy())))
    return values


def _transpose(to: Builder) -> Sequence[ir.Value] | None:
    """Transpose(DQ(weight)) -> DQ(transposed weight)."""
    found = _dequantized_weight(to.input(0))
    if found is None:
        return None
    node, weight = found
    perm = list(to.node.attributes.get_ints("perm", range(weight.ndim)[::-1]))
    return [_turned(to, node, weight, perm)]


def _gemm(to: Builder) -> Sequence[ir.Value] | None:
    """Gemm(A, DQ(weight), C, transB=1) -> Gemm(A, DQ(transposed weight), C)."""
    found = _dequantized_weight(to.input(1))
    if found is None or not to.node.attributes.get_int("transB", 0):
        return None
    return [to.op("Gemm", to.input(0), _turned(to, *found, [1, 0]), to.input(2), **to.kept("transB"))]


def _dequantized_weight(value: ir.Value | None) -> tuple[ir.Node, np.ndarray] | None:
    """The DequantizeLinear that gives ``value`` out of a constant, and that constant."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or node.attributes.get_int("block_size", 0):
        return None
    weight = constant(node.inputs[0])
    return None if weight is None else (node, weight)


def _turned(to: Builder, dequantize: ir.Node, weight: np.ndarray, perm: list[int]) -> ir.Value:
    axis = perm.index(dequantize.attributes.get_int("axis", 1) % weight.ndim)
    turned = to.constant(np.ascontiguousarray(weight.transpose(perm)))
    attributes = {name: attribute.value for name, attribute in dequantize.attributes.items()} | {"axis": axis}
    return to.op("DequantizeLinear", turned, *dequantize.inputs[1:], **attributes)


RULES: dict[tuple[str, str], Rule] = {
    ("", "CastLike"): _cast_like,
    ("", "Concat"): _concat,
    ("", "Dropout"): _dropout,
    ("", "Gemm"): _gemm,
    ("", "Split"): _split,
    ("", "Transpose"): _transpose,
}

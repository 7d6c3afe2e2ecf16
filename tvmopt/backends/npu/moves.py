"""Ops that only move elements as TOSA operators; those that only rename axes are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tosa_serializer as ts

from ...quant.order import channels_last
from ...quant.subgraphs import Op
from .graph import Graph
from .value import Value, concatenated, fetch, reshaped, sliced, split

Moved = Value | list[Value]


def move(graph: Graph, op: Op, inputs: list[Value]) -> Moved:
    """Emit a move that ``unfit`` has nothing against."""
    return _MOVES[op.call.op.name](graph, op, inputs)


def unfit(op: Op) -> str | None:
    """Why TOSA cannot do a move, or None."""
    call, name = op.call, str(op.call.op.name)
    if name not in _MOVES:
        return f"{name.removeprefix('relax.')} is not among the moves that TOSA has"
    if name == "relax.strided_slice" and any(step != 1 for step in _bounds(op)[3]):
        return "it takes every other element"
    if name == "relax.nn.pad" and call.attrs.pad_mode != "constant":
        return f"it pads with mode {call.attrs.pad_mode}"
    return _unfit_resize(op) if name == "relax.image.resize2d" else None


def _unfit_resize(op: Op) -> str | None:
    attrs = op.call.attrs
    mode = (attrs.method, attrs.layout, attrs.coordinate_transformation_mode, attrs.rounding_method)
    if mode != ("nearest_neighbor", "NCHW", "asymmetric", "floor"):
        return f"it resizes with {attrs.method}, {attrs.coordinate_transformation_mode}, {attrs.rounding_method}"
    if any(new % old for new, old in zip(op.output[2:], op.inputs[0][2:], strict=True)):
        return "it does not resize by whole factors"
    return None


def _reshape(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    return reshaped(graph, inputs[0], op.output)


def _permute_dims(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    rank, axes = len(op.output), op.call.attrs.axes
    return inputs[0].permuted(range(rank)[::-1] if axes is None else [int(axis) % rank for axis in axes])


def _concat(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    return concatenated(graph, inputs, int(op.call.attrs.axis) % len(op.output))


def _bounds(op: Op) -> tuple[list[int], list[int], list[int], list[int]]:
    """Axes, begins, ends and steps of a slice."""
    rank = len(op.inputs[0])
    given = [[int(value) for value in arg] for arg in op.call.args[1:]]
    axes, begins, ends = ([axis % rank for axis in given[0]], given[1], given[2])
    return axes, begins, ends, given[3] if len(given) > 3 else [1] * len(axes)


def _strided_slice(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    value = inputs[0]
    first = [0] * len(op.output)
    axes, begins, _, _ = _bounds(op)
    for axis, begin in zip(axes, begins, strict=True):
        size = value.shape[axis]
        first[axis] = min(begin + size if begin < 0 else begin, size)
    return sliced(graph, value, first, op.output)


def _split(graph: Graph, op: Op, inputs: list[Value]) -> list[Value]:
    axis = int(op.call.attrs.axis) % len(op.inputs[0])
    return split(graph, inputs[0], axis, [int(field.shape[axis]) for field in op.var.ty.fields])


def _pad(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    (value,) = inputs
    attrs, order = op.call.attrs, value.order
    widths = [int(attrs.pad_width[2 * axis + side]) for axis in order for side in (0, 1)]
    lower = 128 if str(op.var.ty.dtype) == "uint8" else 0
    fill = graph.constant(int(attrs.pad_value) - lower, "int8")
    shape = [op.output[axis] for axis in order]
    return Value(graph.add("PAD", [value.tensor, graph.constant(widths, "shape"), fill], shape, "int8"), order)


def _resize2d(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    """RESIZE, whose nearest neighbour is the middle of the f pixels it becomes: shifted by (f - 1) / 2."""
    order = channels_last(4)
    tensor = fetch(graph, inputs[0], order)
    factors = [new // old for new, old in zip(op.output[2:], op.inputs[0][2:], strict=True)]
    scale = [part for factor in factors for part in (2 * factor, 2)]
    offset, border = [1 - factor for factor in factors], [factor - 1 for factor in factors]
    operands = [tensor, *(graph.constant(np.array(values), "shape") for values in (scale, offset, border))]
    shape = [op.output[axis] for axis in order]
    return Value(graph.add("RESIZE", operands, shape, "int8", ts.ResizeMode.NEAREST), order)


_MOVES: dict[str, Callable[[Graph, Op, list[Value]], Moved]] = {
    "relax.concat": _concat,
    "relax.expand_dims": _reshape,
    "relax.flatten": _reshape,
    "relax.image.resize2d": _resize2d,
    "relax.nn.pad": _pad,
    "relax.permute_dims": _permute_dims,
    "relax.reshape": _reshape,
    "relax.split": _split,
    "relax.squeeze": _reshape,
    "relax.strided_slice": _strided_slice,
}

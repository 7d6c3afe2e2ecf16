"""Where moves take channels: found by moving the channels' numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from ..quant.relax_form.scope import Expr, constant, op_name, static_shape
from .channels import Effect, join, opaque, unfollowed
from .known import Known
from .moves import RESHAPES

Bounds = tuple[int, int, int]
"""Begin, end and stride of a slice."""

AGNOSTIC = ("relax.image.resize2d",)
"""Moves of spatial axes in channels-first layout whose values are not worth following."""


ALONG = ("relax.nn.softmax", "relax.nn.log_softmax")
"""No moves, but channels on another axis than theirs are as separate."""


def effect_of_move(call: relax.Call, inputs: list[Known], index: int = 0) -> Effect:
    """What a move (its ``index``-th result, if it has several) does to the channels of its quantized operands."""
    results = call.ty.fields if isinstance(call.ty, relax.TupleType) else [call.ty]
    shape, dtype = static_shape(results[index]), np.dtype(str(results[index].dtype))
    assert shape is not None
    if op_name(call) == "relax.concat":
        return _concat(call, shape, dtype, inputs)
    (x,) = inputs
    if op_name(call) in ALONG:
        return unfollowed(op_name(call).removeprefix("relax.nn."), shape, dtype, x, int(call.attrs.axis) % len(shape))
    if op_name(call) in AGNOSTIC and x.axis == 1:
        constant, value = x.uniform()
        column = value.astype(dtype).reshape([-1 if at == 1 else 1 for at in range(len(shape))])
        values = np.broadcast_to(column, shape) if constant.any() else None
        return Effect(Known(shape, dtype, 1, constant, values), [np.arange(shape[1])])
    column = np.arange(x.shape[x.axis]).reshape([-1 if at == x.axis else 1 for at in range(len(x.shape))])
    numbers = move(call, np.broadcast_to(column, x.shape), -1, index)
    found = None if numbers is None or numbers.size == 0 else _axis_of(numbers, x.axis)
    if found is None and numbers is not None and op_name(call) == "relax.reshape":
        return _split(numbers, x)
    if found is None:
        return opaque(shape, dtype, 1, f"{op_name(call).removeprefix('relax.')} mixes its channels")
    axis, labels = found
    padding = call.attrs.pad_value if op_name(call) == "relax.nn.pad" else 0
    values = move(call, x.filled(), padding, index)
    mask = np.where(labels < 0, True, x.mask[labels])
    return Effect(Known(shape, dtype, axis, mask, values if mask.any() else None), [labels])


def _concat(call: relax.Call, shape: tuple[int, ...], dtype: np.dtype, xs: list[Known]) -> Effect:
    concat_axis = int(call.attrs.axis) % len(shape)
    joined = join(concat_axis, [(x.shape, x.axis) for x in xs])
    if joined is None:
        return opaque(shape, dtype, len(xs), "its inputs' channels are on different axes")
    axis, labels = joined
    mask = np.concatenate([x.mask for x in xs]) if axis == concat_axis else np.all([x.mask for x in xs], axis=0)
    values = np.concatenate([x.filled() for x in xs], concat_axis) if mask.any() else None
    return Effect(Known(shape, dtype, axis, mask, values), list(labels))


def _split(numbers: np.ndarray, x: Known) -> Effect:
    """A reshape that puts the channels of x on several axes: those of the result are sets of them on one axis, which is
    the first, or one with more of which everything is known."""
    shape, best = numbers.shape, None
    for axis in range(len(shape)):
        rows = [np.unique(row) for row in np.moveaxis(numbers, axis, 0).reshape(shape[axis], -1)]
        if len(rows) > 1 and sum(map(len, rows)) == len(x.mask) == len(np.unique(np.concatenate(rows))):
            mask = np.array([x.mask[row].all() for row in rows])
            if best is None or mask.mean() > best[1].mean():
                best = axis, mask, rows
    if best is None:
        return opaque(shape, x.dtype, 1, "reshape mixes its channels")
    axis, mask, rows = best
    sets = np.empty(len(x.mask), int)
    for number, row in enumerate(rows):
        sets[row] = number
    values = x.filled().reshape(shape) if mask.any() else None
    return Effect(Known(shape, x.dtype, axis, mask, values), [], tied=(sets, np.arange(len(rows))))


def _axis_of(numbers: np.ndarray, before: int) -> tuple[int, np.ndarray] | None:
    """The axis along which ``numbers`` vary, and how; where several will do, the one it was ``before``.

    Padding (-1) may be anywhere; what is nothing but padding has the label -1.
    """
    for axis in sorted(range(numbers.ndim), key=lambda axis: axis != before):
        rows = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
        labels = rows.max(axis=1)
        if ((rows == labels[:, None]) | (rows < 0)).all():
            return axis, labels
    return None


def move(call: relax.Call, x: np.ndarray, padding: int, index: int = 0) -> np.ndarray | None:
    """The move ``call`` of an array; None for moves that are not followed."""
    name, attrs = op_name(call), call.attrs
    if name in RESHAPES:
        return x.reshape(static_shape(call.ty))
    if name == "relax.permute_dims":
        return x.transpose(None if attrs.axes is None else [int(axis) for axis in attrs.axes])
    if name == "relax.strided_slice":
        slices = [slice(None)] * x.ndim
        for axis, bounds in slice_bounds(call).items():
            slices[axis] = slice(*bounds)
        sliced = x[tuple(slices)]
        return sliced if sliced.shape == static_shape(call.ty) else None
    if name == "relax.split":
        return np.split(x, split_points(call), int(attrs.axis))[index]
    if name == "relax.take" and isinstance(call.args[1], GenericConst) and attrs.axis is not None:
        return np.take(x, call.args[1].value.numpy(), int(attrs.axis))
    if name == "relax.nn.pad" and attrs.pad_mode == "constant":
        widths = pad_widths(call)
        return np.pad(x, widths, constant_values=padding) if (widths >= 0).all() else None
    return None


def slice_bounds(call: relax.Call) -> dict[int, Bounds]:
    """Begin, end and stride of ``R.strided_slice`` by axis."""
    axes, begins, ends = ([int(i) for i in arg] for arg in call.args[1:4])
    strides = [int(i) for i in call.args[4]] if len(call.args) > 4 else [1] * len(axes)
    rank = call.args[0].ty.ndim
    return {axis % rank: bounds for axis, *bounds in zip(axes, begins, ends, strides, strict=True)}  # type: ignore[misc]


def pad_widths(call: relax.Call) -> np.ndarray:
    """Elements that ``R.nn.pad`` adds: int [rank, 2], before and after."""
    return np.array([int(width) for width in call.attrs.pad_width]).reshape(-1, 2)


def split_axis(call: relax.Call) -> int:
    """The axis that ``R.split`` cuts."""
    return int(call.attrs.axis) % call.args[0].ty.ndim


def split_bounds(call: relax.Call, index: int) -> Bounds:
    """What the ``index``-th part of ``R.split`` is of its axis."""
    points = [0, *split_points(call), int(call.args[0].ty.shape[split_axis(call)])]
    return points[index], points[index + 1], 1


def split_points(call: relax.Call) -> list[int]:
    """Where ``R.split`` cuts its axis."""
    sections = call.attrs.indices_or_sections
    if not hasattr(sections, "value"):
        return [int(at) for at in sections]
    size = int(call.args[0].ty.shape[int(call.attrs.axis)])
    step = -(-size // int(sections))
    return list(range(step, size, step))


@dataclass(frozen=True, eq=False)
class Kept:
    """Which channels of a move's result are left.

    Attributes
    ----------
    shape  : of the result before; ``axis`` is its channels'.
    labels : the channels of the operand, as numbered before, that those left come from, -1 for padding.
    places : where in the operand, as it is now, they are.
    """

    shape: tuple[int, ...]
    axis: int
    labels: np.ndarray
    places: np.ndarray


def on_fewer(call: relax.Call, operands: list[Expr], index: int, kept: Kept, emit: Callable[[Expr], Expr]) -> Expr:
    """The move ``call`` (its ``index``-th result) of ``operands`` that have fewer channels than before."""
    name, attrs, axis = op_name(call), call.attrs, kept.axis
    if name == "relax.reshape":
        return relax.op.reshape(operands[0], [*kept.shape[:axis], len(kept.labels), *kept.shape[axis + 1 :]])
    if name == "relax.nn.pad":
        widths, real = pad_widths(call), np.flatnonzero(kept.labels >= 0)
        widths[axis] = real[0], len(kept.labels) - 1 - real[-1]
        return relax.op.nn.pad(operands[0], widths.reshape(-1).tolist(), "constant", attrs.pad_value)
    if name in ("relax.split", "relax.strided_slice"):
        bounds = slice_bounds(call) if name == "relax.strided_slice" else {split_axis(call): split_bounds(call, index)}
        others = {at: bound for at, bound in bounds.items() if at != axis}
        rest = _slice(operands[0], others, emit) if others else operands[0]
        return _pick(rest, axis, kept.places) if axis in bounds else rest
    if name == "relax.take" and int(attrs.axis) % len(kept.shape) == axis:
        return _pick(operands[0], axis, kept.places)
    args = [relax.Tuple(operands)] if name == "relax.concat" else [*operands, *call.args[len(operands) :]]
    return relax.Call(call.op, args, attrs, call.ty_args)


def _slice(x: Expr, bounds: dict[int, Bounds], emit: Callable[[Expr], Expr]) -> Expr:
    return emit(relax.op.strided_slice(x, list(bounds), *(list(bound) for bound in zip(*bounds.values(), strict=True))))


def _pick(x: Expr, axis: int, places: np.ndarray) -> Expr:
    """Some places along an axis: as a slice where they are next to each other."""
    begin, end = int(places[0]), int(places[-1]) + 1
    if np.array_equal(places, np.arange(begin, end)):
        return relax.op.strided_slice(x, [axis], [begin], [end])
    return relax.op.take(x, constant(places.astype(np.int64)), axis)

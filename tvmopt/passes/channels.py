"""What an op does to the channels of its inputs: which come from which, which are needed, which are constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch

import numpy as np

from ..quant import reference
from ..quant.regions import Binary, Concat, Conv, Dequantize, MatMul, Pool, Quantize, Region, Softmax, Table
from ..quant.slicing import grouped_sliced, is_depthwise, sliced
from ..quant.slicing import nonzero as multiplies
from .borders import by_place, same_everywhere
from .known import Known


@dataclass(frozen=True, eq=False)
class Contraction:
    """Every output channel sums over all input channels.

    nonzero  : bool [O, C]: whether output o multiplies input c with anything but zero.
    foldable : bool [C]: whether input c contributes the same to every element of an output channel.
    by_place : bool [C]: others whose contribution is known as well, and may become a convolution's ``Border``.
    """

    nonzero: np.ndarray
    foldable: np.ndarray
    by_place: np.ndarray


@dataclass(frozen=True, eq=False)
class Effect:
    """What an op does to channels.

    Attributes
    ----------
    known       : of its result.
    labels      : per operand, int [channels of the result]: the operand's channel that each comes from, -1 where
                  it comes from another operand; None when the operand is needed whole.
    ignored     : bool [channels of the result]: those that are computed next to their operand's, but not from it.
    contraction : instead of the labels of its only operand.
    tied        : instead of those, too: sets of channels, by number, that stay or go together, of the operand (int
                  [its channels]) and of the result (int [its channels]): groups of a convolution, heads of attention.
    reads       : beside those, bool [channels of the result, of the operand]: which are computed from which, where not
                  all of a set are.
    whole       : why all channels of the result stay; "" when they may go.
    """

    known: Known
    labels: list[np.ndarray | None] = field(default_factory=list)
    contraction: Contraction | None = None
    tied: tuple[np.ndarray, np.ndarray] | None = None
    reads: np.ndarray | None = None
    ignored: np.ndarray | None = None
    whole: str = ""


def opaque(shape: tuple[int, ...], dtype: np.dtype, operands: int, reason: str) -> Effect:
    """An op that needs its operands whole and gives a result that stays whole; a scalar counts as one channel."""
    shape = shape or (1,)
    return Effect(Known.nothing(shape, dtype, min(1, len(shape) - 1)), [None] * operands, whole=reason)


@singledispatch
def effect(region: Region, shape: tuple[int, ...], *inputs: Known) -> Effect:
    """What ``region``, whose result has ``shape``, does to the channels of its inputs."""
    dtype = np.dtype(np.float32 if getattr(region, "y", None) is None else region.y.dtype)  # type: ignore[attr-defined]
    return opaque(shape, dtype, len(inputs), f"{region.kind} is not looked through")


@effect.register
def _(region: Conv, shape: tuple[int, ...], x: Known) -> Effect:
    dtype = np.dtype(np.float32) if region.y is None else region.y.dtype
    nonzero = multiplies(region)
    if is_depthwise(region) and x.axis == 1:
        found = np.flatnonzero(x.mask | ~nonzero[:, 0])
        values = _bias_alone(region, shape, found)
        if (x.mask & nonzero[:, 0]).any() and values is not None:
            values = reference.run(grouped_sliced(region, found), x.filled().take(found, 1))
        return Effect(_placed(shape, dtype, 1, found, values), [np.arange(shape[1])], ignored=~nonzero[:, 0])
    if region.groups > 1:
        return _in_groups(region, shape, x)
    if x.axis != 1:
        found = np.flatnonzero(~nonzero.any(axis=1))
        return Effect(_placed(shape, dtype, 1, found, _bias_alone(region, shape, found)), [None])
    return _contraction(
        region, shape, 1, x, Contraction(nonzero, same_everywhere(region, x), by_place(region, shape, x))
    )


def _in_groups(region: Conv, shape: tuple[int, ...], x: Known) -> Effect:
    """Groups stay or go as wholes."""
    dtype = np.dtype(np.float32) if region.y is None else region.y.dtype
    if region.transposed or x.axis != 1:
        return opaque(shape, dtype, 1, "a transposed convolution in groups is not looked through")
    inputs, outputs = (np.arange(channels) * region.groups // channels for channels in (x.shape[1], shape[1]))
    constant = np.asarray(x.mask.reshape(region.groups, -1).all(axis=1))[outputs]
    nonzero = multiplies(region)
    found = np.flatnonzero(constant | ~nonzero.any(axis=1))
    values = _bias_alone(region, shape, found)
    if constant.any() and values is not None:
        values = reference.run(region, x.filled())[:, found]
    reads = np.tile(nonzero, region.groups) & (outputs[:, None] == inputs)
    return Effect(_placed(shape, dtype, 1, found, values), [], tied=(inputs, outputs), reads=reads)


@effect.register
def _(region: MatMul, shape: tuple[int, ...], a: Known, *rest: Known) -> Effect:
    dtype = np.dtype(np.float32) if region.y is None else region.y.dtype
    axis = len(shape) - 1
    if region.weight is None:
        return _product_of_activations(region, shape, a, *rest)
    if region.a is None:
        return opaque(shape, dtype, 1 + len(rest), "its input's scale is computed at run time")
    nonzero = multiplies(region)
    if a.axis != axis:
        found = np.flatnonzero(~nonzero.any(axis=1))
        return Effect(_placed(shape, dtype, axis, found, _bias_alone(region, shape, found)), [None])
    foldable, value = a.uniform()
    if region.bias is not None and region.bias.dtype == np.float32:
        foldable &= value == int(region.a.zero_point)
    return _contraction(region, shape, axis, a, Contraction(nonzero, foldable, np.zeros_like(foldable)))


def _product_of_activations(region: MatMul, shape: tuple[int, ...], a: Known, b: Known) -> Effect:
    """Channels that are not multiplied with each other (heads of attention) stay apart."""
    if region.y is None or a.shape[:-2] != b.shape[:-2] or a.axis != b.axis or a.axis >= len(shape) - 2:
        dtype = np.dtype(np.float32) if region.y is None else region.y.dtype
        return opaque(shape, dtype, 2, "a product of activations mixes its channels")
    labels, mask = np.arange(len(a.mask)), a.mask & b.mask
    for x, p in ((a, region.a), (b, region.b)):
        assert p is not None
        constant, value = x.uniform()
        mask |= constant & (value == int(p.zero_point))
    values = reference.run(region, a.filled(), b.filled()) if mask.any() else None
    return Effect(Known(shape, region.y.dtype, a.axis, mask, values), [labels, labels])


def _contraction(
    region: Conv | MatMul, shape: tuple[int, ...], axis: int, x: Known, contraction: Contraction
) -> Effect:
    """An output channel is known when all inputs that it multiplies with more than zero are."""
    dtype, nonzero = np.dtype(np.float32) if region.y is None else region.y.dtype, contraction.nonzero
    found = np.flatnonzero(~nonzero[:, ~x.mask].any(axis=1))
    inputs = np.flatnonzero(x.mask & nonzero[found].any(axis=0))
    values = _bias_alone(region, shape, found)
    if len(inputs) and values is not None:
        values = reference.run(sliced(region, inputs, found), x.filled().take(inputs, x.axis))
    return Effect(_placed(shape, dtype, axis, found, values), [], contraction)


def _bias_alone(region: Conv | MatMul, shape: tuple[int, ...], channels: np.ndarray) -> np.ndarray | None:
    """Values of output ``channels`` to which no input contributes; None for float results, which are not tracked."""
    if region.y is None:
        return None
    axis = 1 if isinstance(region, Conv) else len(shape) - 1
    x, w = (region.x, region.w) if isinstance(region, Conv) else (region.a, region.b)
    assert x is not None
    bias = np.zeros(shape[axis], np.int32) if region.bias is None else region.bias
    multiplier = np.broadcast_to(reference.multiplier(x, w, region.y), bias.shape)
    column = [-1 if at == axis else 1 for at in range(len(shape))]
    total = bias[channels].reshape(column)
    if isinstance(region, Conv) and region.border is not None:
        total = total + region.border.image[channels]
    values = reference.finish(region, total, multiplier[channels].reshape(column))
    return np.broadcast_to(values, [*shape[:axis], len(channels), *shape[axis + 1 :]])


def _placed(
    shape: tuple[int, ...], dtype: np.dtype, axis: int, channels: np.ndarray, values: np.ndarray | None
) -> Known:
    """A tensor whose ``channels`` have ``values``."""
    result = Known.nothing(shape, dtype, axis)
    if values is None or not len(channels):
        return result
    mask, full = result.mask.copy(), np.zeros(shape, dtype)
    mask[channels] = True
    np.moveaxis(full, axis, 0)[channels] = np.moveaxis(values, axis, 0)
    return replace(result, mask=mask, values=full)


@effect.register
def _(region: Table, shape: tuple[int, ...], x: Known) -> Effect:
    values = None if x.values is None else reference.run(region, x.values)
    return Effect(replace(x, dtype=region.y.dtype, values=values), [np.arange(len(x.mask))])


@effect.register
def _(region: Quantize, shape: tuple[int, ...], x: Known) -> Effect:
    return unfollowed(region.kind, shape, region.y.dtype, x, region.y.axis)


@effect.register
def _(region: Dequantize, shape: tuple[int, ...], x: Known) -> Effect:
    return unfollowed(region.kind, shape, np.dtype(np.float32), x, region.x.axis)


@effect.register
def _(region: Softmax, shape: tuple[int, ...], x: Known) -> Effect:
    return unfollowed(region.kind, shape, region.y.dtype, x, region.axis)


def unfollowed(name: str, shape: tuple[int, ...], dtype: np.dtype, x: Known, along: int | None) -> Effect:
    """An op on rows ``along`` an axis (None: on elements), whose values, in float or nearly, are not followed."""
    if along == x.axis:
        return opaque(shape, dtype, 1, f"{name} goes along its channels")
    return Effect(Known.nothing(shape, dtype, x.axis), [np.arange(shape[x.axis])])


@effect.register
def _(region: Pool, shape: tuple[int, ...], x: Known) -> Effect:
    if x.axis != 1:
        return opaque(shape, region.y.dtype, 1, "its channels are not on axis 1")
    channels = np.flatnonzero(x.mask)
    values = reference.run(region, x.filled().take(channels, 1)) if len(channels) else None
    return Effect(_placed(shape, region.y.dtype, 1, channels, values), [np.arange(shape[1])])


@effect.register
def _(region: Binary, shape: tuple[int, ...], *inputs: Known) -> Effect:
    """Known where both operands are, and where one factor is zero."""
    places = [x.axis + len(shape) - len(x.shape) for x in inputs]
    axis = next((at for x, at in zip(inputs, places, strict=True) if at >= 0 and len(x.mask) == shape[at]), None)
    if axis is None or any(
        at != axis and _length(x, axis - len(shape)) > 1 for x, at in zip(inputs, places, strict=True)
    ):
        return opaque(shape, region.y.dtype, len(inputs), "its operands' channels are on different axes")
    operands = [*inputs] if region.constant is None else [*inputs, _constant(region.constant, axis - len(shape))]
    labels, masks, zeros = [], [], []
    for x, p in zip(operands, (region.a, region.b), strict=True):
        along = x.axis == axis - (len(shape) - len(x.shape)) and len(x.mask) == shape[axis]
        constant, value = x.uniform()
        zero = constant & (value == int(p.zero_point))
        labels.append(np.arange(shape[axis]) if along else None)
        masks.append(x.mask if along else np.full(shape[axis], x.mask.all()))
        zeros.append(zero if along else np.full(shape[axis], zero.all()))
    mask = masks[0] & masks[1] | (zeros[0] | zeros[1] if region.op == "mul" else False)
    values = reference.run(region, *(x.filled() for x in inputs)) if mask.any() else None
    return Effect(Known(shape, region.y.dtype, axis, mask, values), labels[: len(inputs)])


def _length(x: Known, axis: int) -> int:
    """Of a tensor that is broadcast, along an axis from the end."""
    return x.shape[axis] if -axis <= len(x.shape) else 1


def with_constant_operand(region: Binary, inputs: Sequence[Known]) -> tuple[Binary, list[int]]:
    """A binary op with an operand of which everything is known inside it; and which operands are left."""
    if region.constant is not None:
        return region, [0]
    if inputs[1].mask.all():
        return replace(region, constant=_compact(inputs[1], inputs[0].shape)), [0]
    if inputs[0].mask.all() and region.op != "sub":
        values = inputs[0].filled()
        swapped = replace(region, a=region.b, b=region.a, constant=None)
        left, right = np.meshgrid(np.unique(values), np.arange(*np.add(region.b.range, (0, 1))).astype(region.b.dtype))
        if np.array_equal(reference.run(region, left, right), reference.run(swapped, right, left)):
            return replace(swapped, constant=_compact(inputs[0], inputs[1].shape)), [1]
    return region, [0, 1]


def _compact(x: Known, other: tuple[int, ...]) -> np.ndarray:
    """A known operand, as one value per channel where that is all it is."""
    uniform, value = x.uniform()
    if not uniform.all() or x.shape != other:
        return x.filled()
    return value.astype(x.dtype).reshape([-1 if at == x.axis else 1 for at in range(len(x.shape))])


def _constant(array: np.ndarray, axis: int) -> Known:
    """A constant operand; ``axis``, from the end, is its channels' where it has so many."""
    at = max(array.ndim + axis, 0)
    whole = array.reshape(array.shape or (1,))
    return Known(whole.shape, array.dtype, at, np.ones(whole.shape[at], bool), whole)


@effect.register
def _(region: Concat, shape: tuple[int, ...], *xs: Known) -> Effect:
    joined = join(region.axis, [(x.shape, x.axis) for x in xs])
    if joined is None:
        return opaque(shape, region.y.dtype, len(xs), "its inputs' channels are on different axes")
    axis, labels = joined
    mask = np.concatenate([x.mask for x in xs]) if axis == region.axis else np.all([x.mask for x in xs], axis=0)
    values = reference.run(region, *(x.filled() for x in xs)) if mask.any() else None
    return Effect(Known(shape, region.y.dtype, axis, mask, values), list(labels))


def join(axis: int, parts: list[tuple[tuple[int, ...], int]]) -> tuple[int, list[np.ndarray]] | None:
    """The channel axis of a concatenation along ``axis``, and the labels of its parts, given as (shape, channel axis).

    None when the parts have their channels on different axes.
    """
    channel_axis = parts[0][1]
    if any(at != channel_axis for _, at in parts):
        return None
    if channel_axis != axis:
        return channel_axis, [np.arange(shape[channel_axis]) for shape, _ in parts]
    sizes = [shape[axis] for shape, _ in parts]
    labels = []
    for i, size in enumerate(sizes):
        before, after = sum(sizes[:i]), sum(sizes[i + 1 :])
        labels.append(np.concatenate([np.full(before, -1), np.arange(size), np.full(after, -1)]))
    return channel_axis, labels

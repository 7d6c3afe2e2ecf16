"""The sum of products that convolutions and matrix products share, and the way from it to the output.

Blocks of the function, by which schedule rules find their way: "stage" (the input as the multiply-add wants
it, only where it is stored otherwise), "acc" (int32 sums, [*space, blocks of channels, lanes]), "out" (bias,
requantization). ``space`` is that of the output, or one axis of rows where every place is alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import tvm
from tvm import te, tirx

from .arith import Expr
from .packing import Packing

Place = Sequence[Expr]
"""Index of one position of the output, channels excluded."""

Read = Callable[[Place, Expr, Place, Expr], Expr]
"""The input that meets a weight: ``(place, block, taps, k)``."""


def contract(
    space: Sequence[int],
    weight: te.Tensor,
    x: Read,
    batch: Callable[[Place], Place] = lambda place: (),
) -> te.Tensor:
    """``acc[*place, block, lane]``, the sum over taps and k of ``x(place, block, taps, k)`` times the weight.

    weight : packed ([*batch, block, *taps, step, lane, inner], see ``Packing.pack``).
    batch  : which of the weight's batches a place of the output takes.
    """
    lead = len(batch(space))
    blocks, *taps, steps, lanes, depth = (int(extent) for extent in weight.shape[lead:])
    tap_axes = [te.reduce_axis((0, extent), f"tap{i}") for i, extent in enumerate(taps)]
    step, inner = te.reduce_axis((0, steps), "step"), te.reduce_axis((0, depth), "inner")

    def total(*index: Expr) -> Expr:
        *place, block, lane = index
        left = x(place, block, tap_axes, step * depth + inner)
        right = weight(*batch(place), block, *tap_axes, step, lane, inner)
        return te.sum(left.astype("int32") * right.astype("int32"), axis=[*tap_axes, step, inner])

    return te.compute((*space, blocks, lanes), total, name="acc")


def rows(x: te.Tensor, form: Packing) -> Read:
    """``x`` [*space, K] as a matrix of rows, in the dtype and with the length that the multiply-add takes."""
    *space, length = (int(extent) for extent in x.shape)
    padded = form.steps(length) * form.depth

    def element(row: Expr, k: Expr) -> Expr:
        value = form.read(x(*unravel(row, space), k))
        return value if padded == length else tirx.if_then_else(k < length, value, tirx.const(0, form.x))

    if str(x.dtype) == form.x and padded == length:
        return lambda place, block, taps, k: element(place[0], k)
    stage = te.compute((prod(space), padded), element, name="stage")
    return lambda place, block, taps, k: stage(place[0], k)


def finish(acc: te.Tensor, shape: Sequence[int], groups: int, value: Callable[[Expr, Expr], Expr]) -> te.Tensor:
    """The output [*space, channels] from ``acc``: ``value(sum, channel)`` at every place.

    Channels of a group fill whole blocks of ``acc``, the last one in part where they do not divide.
    """
    *space, channels = shape
    lanes = int(acc.shape[-1])
    per_group = channels // groups
    blocks = -(-per_group // lanes)
    by_rows = len(acc.shape) == 3

    def element(*index: Expr) -> Expr:
        *place, channel = index
        if by_rows:
            place = [ravel(place, space)]
        if groups == 1 or per_group == blocks * lanes:
            block, lane = channel // lanes, channel % lanes
        else:
            inside = channel % per_group
            block, lane = channel // per_group * blocks + inside // lanes, inside % lanes
        return value(acc(*place, block, lane), channel)

    return te.compute(tuple(shape), element, name="out")


def function(op: str, inputs: Sequence[te.Tensor], output: te.Tensor, **attrs: int) -> tvm.tirx.PrimFunc:
    """The PrimFunc from ``inputs`` to ``output``, marked for schedule rules with what it is."""
    func = te.create_prim_func([*inputs, output]).with_attr("tvmopt.op", op)
    for name, value in attrs.items():
        func = func.with_attr(f"tvmopt.{name}", value)
    return func


def ravel(place: Place, shape: Sequence[int]) -> Expr:
    """Position of ``place`` in the row-major order of ``shape``."""
    row: Expr = 0
    for index, extent in zip(place, shape, strict=True):
        row = row * extent + index
    return row


def unravel(row: Expr, shape: Sequence[int]) -> list[Expr]:
    """The inverse of ``ravel``."""
    below = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [row // b if axis == 0 else row // b % shape[axis] for axis, b in enumerate(below)]

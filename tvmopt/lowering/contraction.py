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
from tvm.s_tir import Schedule
from tvm.tirx import IndexMap

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


def finish(
    inputs: Sequence[te.Tensor], acc: te.Tensor, shape: Sequence[int], value: Callable[[Expr, Expr], Expr]
) -> tvm.tirx.PrimFunc:
    """The function of ``inputs`` whose output [*space, channels] is ``value(sum, channel)`` at every place."""
    *space, channels = shape
    *own, _, lanes = (int(extent) for extent in acc.shape)

    def element(*index: Expr) -> Expr:
        *place, channel = index
        return value(acc(*place, channel // lanes, channel % lanes), channel)

    out = te.compute((*own, channels), element, name="out")
    func = te.create_prim_func([*inputs, out]).with_attr("tvmopt.op", "contraction")
    if len(own) == len(space):
        return func
    sch = Schedule(func)
    split = IndexMap.from_func(lambda row, channel: (*unravel(row, space), channel), index_dtype="int32")
    sch.transform_layout("out", ("write", 0), split)
    return sch.mod["main"]


def unravel(row: Expr, shape: Sequence[int]) -> list[Expr]:
    """The place of the row-th element of ``shape`` in row-major order."""
    below = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [row // b if axis == 0 else row // b % shape[axis] for axis, b in enumerate(below)]

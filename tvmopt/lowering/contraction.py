"""The sum of products that convolutions and matrix products share, and the way from it to the output.

Blocks of the function, by which schedule rules find their way: "stage" (the input as the multiply-add wants
it, only where it is stored otherwise), "acc" (int32 sums, [*space, blocks of channels, lanes]), "scaled" and
"out" (see ``requantized``). ``space`` is that of the output, or one axis of rows where every place is alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import te, tirx

from .arith import Expr, narrowed
from .epilogue import DynamicEpilogue
from .packing import Packing, unpacked
from .residual import AnyEpilogue

Place = Sequence[Expr]
"""Index of one position of the output, channels excluded."""

Read = Callable[[Place, Expr, Place, Expr], Expr]
"""The input that meets a weight: ``(place, block, taps, k)``."""


def operands(packed: Sequence[np.ndarray]) -> list[te.Tensor]:
    """What a function reads a packed weight from, and where pairs were if it has that (see ``Packing.pack``)."""
    return [te.placeholder(array.shape, array.dtype.name, ("w", "positions")[i]) for i, array in enumerate(packed)]


def contract(
    space: Sequence[int],
    weight: te.Tensor,
    x: Read,
    batch: Callable[[Place], Place] = lambda place: (),
    positions: te.Tensor | None = None,
    int4: bool = False,
) -> te.Tensor:
    """``acc[*place, block, lane]``, the sum over taps and k of ``x(place, block, taps, k)`` times the weight.

    weight : packed ([*batch, block, *taps, step, lane, inner], see ``Packing.pack``).
    batch  : which of the weight's batches a place of the output takes.
    positions : of pairs, where they were (see ``Packing.pack``).
    int4      : weights are two to a byte.
    """
    lead = len(batch(space))
    blocks, *taps, steps, lanes, stored = (int(extent) for extent in weight.shape[lead:])
    depth = 2 * stored if int4 else stored
    tap_axes = [te.reduce_axis((0, extent), f"tap{i}") for i, extent in enumerate(taps)]
    step, inner = te.reduce_axis((0, steps), "step"), te.reduce_axis((0, depth), "inner")

    def total(*index: Expr) -> Expr:
        *place, block, lane = index
        k = step * depth + inner
        if positions is not None:
            word = positions(block, *tap_axes, step, lane, inner // 16)
            k = step * (2 * depth) + inner // 2 * 4 + ((word >> (inner % 16 * 2)) & 3)
        left = x(place, block, tap_axes, k)
        right = weight(*batch(place), block, *tap_axes, step, lane, inner % stored if int4 else inner)
        if int4:
            right = unpacked(right, inner // stored)
        return te.sum(left.astype("int32") * right.astype("int32"), axis=[*tap_axes, step, inner])

    return te.compute((*space, blocks, lanes), total, name="acc")


def rows(x: te.Tensor, form: Packing) -> Read:
    """Rows of ``x`` [rows, K], in the dtype and with the length that the multiply-add takes."""
    count, length = (int(extent) for extent in x.shape)
    padded = form.steps(length) * form.span

    def element(row: Expr, k: Expr) -> Expr:
        value = form.read(x(row, k))
        return value if padded == length else tirx.if_then_else(k < length, value, tirx.const(0, form.x))

    if str(x.dtype) == form.x and padded == length:
        return lambda place, block, taps, k: element(place[0], k)
    stage = te.compute((count, padded), element, name="stage")
    return lambda place, block, taps, k: stage(place[0], k)


def finish(
    inputs: Sequence[te.Tensor],
    acc: te.Tensor,
    channels: int,
    epilogue: AnyEpilogue,
    form: Packing,
    correction: Callable[[Place, Expr], Expr] | None = None,
) -> tvm.tirx.PrimFunc:
    """The function of ``inputs`` whose output [*space, channels] is ``epilogue(sum, *place, channel)`` at every place.

    correction : what is added to the sum at ``(place, channel)``.
    """
    out = requantized(acc, (*acc.shape[:-2], channels), epilogue, form, correction)
    return te.create_prim_func([*inputs, out]).with_attr("tvmopt.op", "contraction")


def requantized(
    acc: te.Tensor,
    shape: Sequence[int],
    epilogue: AnyEpilogue,
    form: Packing,
    correction: Callable[[Place, Expr], Expr] | None = None,
) -> te.Tensor:
    """``out[*shape]`` from sums [*shape[:-1], blocks, lanes]: at once, or by way of "scaled", the int32 elements.

    The latter where whole vectors of them are made bytes by one instruction.
    """

    def element(value: Callable[..., Expr]) -> Callable[..., Expr]:
        def at(*index: Expr) -> Expr:
            *place, channel = index
            total = acc(*place, channel // form.lanes, channel % form.lanes)
            return value(total if correction is None else total + correction(place, channel), *index)

        return at

    if not isinstance(epilogue, DynamicEpilogue) and epilogue.bounded and form.narrows and shape[-1] % form.lanes == 0:
        scaled = te.compute(shape, element(epilogue.rounded), name="scaled")
        return te.compute(shape, lambda *index: narrowed(scaled(*index), epilogue.dtype), name="out")
    return te.compute(shape, element(epilogue), name="out")

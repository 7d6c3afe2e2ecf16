"""Kernels of elementwise functions of one quantized tensor: a clamp where the table is one, else a look-up."""

from __future__ import annotations

from math import prod

import numpy as np
from tvm import te, tirx

from ..quant.regions import Table
from ..target import Target
from .arith import Expr
from .dispatch import activation, as_stored, lower, wants
from .kernel import Kernel, Stored


@wants.register
def _(region: Table, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    return tuple(Stored(held.shape, activation(held.dtype, target), held.channels_last) for held in inputs)


@lower.register
def _(region: Table, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    out = Stored(out_shape, activation(str(region.y.dtype), target), held.channels_last)
    lowest = as_stored(region.x, held).range[0]
    step = as_stored(region.y, out).range[0] - region.y.range[0]
    table = (region.table.astype(np.int32) + step).astype(out.dtype)
    limits = clamp(table, lowest)
    constants = (table if limits is None else limits,)
    x = te.placeholder((prod(out_shape),), held.dtype, "x")
    c = te.placeholder(constants[0].shape, str(constants[0].dtype), "limits" if limits is not None else "table")

    def element(i: Expr) -> Expr:
        value = x[i].astype("int32")
        if limits is None:
            return c[value - lowest]
        return tirx.Min(tirx.Max(value + c[0], c[1]), c[2]).astype(out.dtype)

    func = te.create_prim_func([x, c, te.compute(x.shape, element, "y")])
    return Kernel(func if limits is not None else func.with_attr("tvmopt.op", "table"), constants, out)


def clamp(table: np.ndarray, lowest: int) -> np.ndarray | None:
    """int32 [shift, lo, hi] such that ``table[i] == clip(i + lowest + shift, lo, hi)``, or None."""
    values = table.astype(np.int32)
    lo, hi = values.min(), values.max()
    rising = np.flatnonzero((values > lo) & (values < hi))
    first = rising[0] if len(rising) else int(np.argmax(values == hi))
    shift = values[first] - (first + lowest)
    if not np.array_equal(values, np.clip(np.arange(256) + lowest + shift, lo, hi)):
        return None
    return np.array([shift, lo, hi], np.int32)

"""Softmax in integers: what a ``Softmax`` region with ``requantize = "fixed"`` means.

Only operators that TOSA has, so that NPUs compute the same: for x along the axis, of ``size`` elements, in int32

    d = x - max(x)                       -255 to 0
    e = exponentials[d + 255]            exp(d * x_scale) in units of 1 / top
    s = sum(e)                           top to 2**31 - 1
    r = reciprocal(s << (clz(s) - 1))    of a number from 1/2 to 1, in units of 2**-29
    r = r >> (clz(top) - clz(s))
    p = (e * r) >> (31 - clz(top))       e / s, in units of 2**-30
    y = p * 2**-30 / y_scale + y_zp      RESCALE, saturated

where every shift to the right rounds, halves up. Errors of the exponentials are half a unit each and those of the
reciprocal below 2**-16, so that together, for at most ``MOST`` elements and an output scale of at least ``FINEST``,
they are below a quarter of the output's step; the result is at most one step from the float mode's.
"""

from __future__ import annotations

import numpy as np

from .fixed import Scale
from .regions import Softmax

MOST = 1024
"""Elements along the axis."""

FINEST = 2.0**-16
"""The least scale of an output."""

STEPS = 2
"""Of Newton's method for a reciprocal: the error of its start, 1/17, is squared by each."""

START = (round(48 / 17 * 2**29), round(32 / 17 * 2**29))
"""1 / f is about START[0] - START[1] * f for f from 1/2 to 1, in units of 2**-29."""

TWO = 2 * 2**29


def top(size: int) -> int:
    """What 1 is among exponentials: three bytes, and so few that their sum fits 31 bits."""
    return int(min(2**24, 2**31 // size) - 1)


def leading_zeros(size: int) -> int:
    """Of ``top(size)`` in 32 bits; sums have at most as many."""
    return 32 - top(size).bit_length()


def exponentials(region: Softmax, size: int) -> np.ndarray:
    """int32 [256]: of the differences from -255 to 0."""
    return np.rint(np.exp(np.arange(-255, 1) * np.float64(region.x.scale)) * top(size)).astype(np.int32)


def output_scale(region: Softmax) -> Scale:
    """Of numbers in units of 2**-30."""
    return Scale.of(1 / (np.float64(region.y.scale) * 2**30))


def softmax(region: Softmax, x: np.ndarray) -> np.ndarray:
    """Quantized x -> quantized output of the same shape."""
    size, axis = x.shape[region.axis], region.axis
    differences = x.astype(np.int64) - x.max(axis, keepdims=True)
    e = exponentials(region, size)[differences + 255].astype(np.int64)
    s = e.sum(axis, keepdims=True)
    more = leading_zeros(size) - (32 - np.frexp(s.astype(np.float64))[1].astype(np.int64))
    r = rounded(_reciprocal(s << (leading_zeros(size) - 1 - more)), more)
    p = rounded(e * r, 31 - leading_zeros(size))
    return np.clip(output_scale(region)(p) + int(region.y.zero_point), *region.y.range).astype(region.y.dtype)


def _reciprocal(f: np.ndarray) -> np.ndarray:
    """2**60 / f for f from 2**30 to 2**31, nearly."""
    r = START[0] - rounded(f * START[1], 31)
    for _ in range(STEPS):
        r = rounded(r * (TWO - rounded(f * r, 31)), 29)
    return r


def rounded(value: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """``value / 2**shift``, halves up: TOSA's MUL with a shift, and its ARITHMETIC_RIGHT_SHIFT with rounding."""
    return (value + ((np.int64(1) << shift) >> 1)) >> shift

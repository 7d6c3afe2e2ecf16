"""Fixed-point requantization: what ``requantize = "fixed"`` means, after the TOSA 1.0 specification.

A real factor is an int32 multiplier and a shift, applied as RESCALE does with ``scale32`` and SINGLE_ROUND:
``(value * multiplier + 2**(shift - 1)) >> shift`` in 64 bits, half rounded up. The factors themselves are those of
the float mode, so the two modes differ by the rounding of ties and of float32 products only: at most 1 LSB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .params import QParams
from .regions import Binary, Clamp, Pool

ADD_SHIFT = 20
"""Fraction bits that the operands of a sum get before they are added."""


@dataclass(frozen=True, eq=False)
class Scale:
    """``multiplier / 2**shift``, elementwise: int32 arrays of one shape; TOSA 1.0, 1.10.2 "Scaling operations".

    multiplier : 0 <= multiplier < 2**31.
    shift      : 2 <= shift <= 62.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @staticmethod
    def of(factor: np.ndarray | np.floating | float) -> Scale:
        """The nearest scale to each non-negative factor; exact for float32 ones in [2**-31, 2**29).

        From 2**29 on any sum but 0 saturates an 8-bit output, so larger factors need not be told apart.
        """
        wide = np.minimum(np.asarray(factor, np.float64), np.ldexp(1.0, 29) - 1)
        shift = np.minimum(31 - np.frexp(wide)[1].astype(np.int64), 62)
        multiplier = np.rint(np.ldexp(wide, shift)).astype(np.int64)
        full = multiplier == 2**31  # rounded up to the next power of two
        multiplier, shift = np.where(full, 2**30, multiplier), shift - full
        return Scale(multiplier.astype(np.int32), shift.astype(np.int32))

    @staticmethod
    def reciprocal(count: np.ndarray | int) -> Scale:
        """``1 / count`` as AVG_POOL2D has it: slightly more than that, so that halves are rounded up."""
        counts = np.asarray(count, np.int64)
        bits = np.frexp((counts - 1).astype(np.float64))[1].astype(np.int64)
        return Scale((((2**30 + 1) << bits) // counts).astype(np.int32), (30 + bits).astype(np.int32))

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """int32 values, broadcast against the scale -> int64."""
        half = np.int64(1) << (self.shift.astype(np.int64) - 1)
        return (value.astype(np.int64) * self.multiplier + half) >> self.shift


def requantize(acc: np.ndarray, scale: Scale, y: QParams, clamp: Clamp) -> np.ndarray:
    """``clip(scale(acc) + y_zp)``: RESCALE, then CLAMP. acc int32 -> y's dtype."""
    return np.clip(scale(acc) + int(y.zero_point), *clamp).astype(y.dtype)


def average(region: Pool, total: np.ndarray, count: int) -> np.ndarray:
    """Mean of ``count`` values whose centered int32 sum is ``total``.

    With the parameters of the input it is AVG_POOL2D's; otherwise one RESCALE by ``x_scale / (y_scale * count)``.
    """
    return requantize(total, average_scale(region, np.asarray(count)), region.y, region.y.range)


def average_scale(region: Pool, counts: np.ndarray) -> Scale:
    """What sums of ``counts`` centered values are scaled by."""
    if region.x.same(region.y):
        return Scale.reciprocal(counts)
    return Scale.of((region.x.scale / (region.y.scale * counts.astype(np.float32))).astype(np.float32))


def binary(region: Binary, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of operands rescaled to a common int32 scale, products of centered operands; one RESCALE to the output."""
    left, right, out = binary_scales(region)
    x = a.astype(np.int32) - int(region.a.zero_point)
    z = b.astype(np.int32) - int(region.b.zero_point)
    if region.op == "mul":
        return requantize(x * z, out, region.y, region.clamp)
    x, z = left(x).astype(np.int32), right(z).astype(np.int32)
    return requantize(x - z if region.op == "sub" else x + z, out, region.y, region.clamp)


def binary_scales(region: Binary) -> tuple[Scale, Scale, Scale]:
    """Of both centered operands (products: 1), and of the int32 result.

    Sums: the larger operand scale becomes 1/2, so that 2**ADD_SHIFT times a sum fits 32 bits.
    """
    a, b, y = (np.float64(p.scale) for p in (region.a, region.b, region.y))
    if region.op == "mul":
        product = np.float32(region.a.scale * region.b.scale) / region.y.scale
        return Scale.of(1.0), Scale.of(1.0), Scale.of(product)
    unit = 2 * max(a, b)
    return Scale.of(a / unit * 2**ADD_SHIFT), Scale.of(b / unit * 2**ADD_SHIFT), Scale.of(unit / (y * 2**ADD_SHIFT))

"""Sums in the mantissa of a float: a fused multiply-add scales them, where else a conversion comes before the product.

Floats in [2**23, 2**24) are integers, and their bits count in ones. Sums that begin with the bits of such an ``offset``
are the bits of ``offset + sum`` when they are complete, so that

    float32(sum) * factor = (offset + sum) * factor - float32(offset * factor)    # rounded once

if the last term is exact. It nearly is for few offsets: where the factor's mantissa is a number of n bits, those whose
product with it leaves little when divided by 2**n.
"""

from __future__ import annotations

import numpy as np

from ..quant.regions import Clamp

FIRST, END = 2**23, 2**24

_LEFT = np.arange(-(2**12), 2**12 + 1)
_LEFT = _LEFT[np.argsort(np.abs(_LEFT), kind="stable")]
"""What may be left, in units of the product: of a sum's last bit, 2**-11 at most."""


def offsets(factor: np.ndarray, reach: np.ndarray, limits: Clamp) -> np.ndarray | None:
    """A float32 for each factor (float32 [O]) with which sums up to ``reach`` (int64 [O]) are the same when the product
    is rounded and limited; None where there is none.

    Both ways give more for larger sums, so they are the same if they are around every place where the result changes.
    """
    if np.any(reach >= FIRST // 2) or not np.all(np.isfinite(factor) & (factor > 0)):
        return None
    found = [_offset(float(each), int(most)) for each, most in zip(factor, reach, strict=True)]
    if None in found:
        return None
    offset = np.array(found, np.float32)
    narrow, wide = factor[:, None, None], factor.astype(np.float64)[:, None, None]
    left = wide * offset[:, None, None] - (factor * offset)[:, None, None]
    changes = np.arange(*limits)[:, None] + 0.5
    sums = np.floor(changes / wide) + np.arange(-1, 3)  # [O, changes, 4]
    wanted = np.rint(sums.astype(np.float32) * narrow)
    got = np.rint((sums * wide + left).astype(np.float32))
    changing = np.all((wanted[..., 0] < changes[:, 0]) & (wanted[..., -1] > changes[:, 0]))
    return offset if changing and np.array_equal(np.clip(got, *limits), np.clip(wanted, *limits)) else None


def _offset(factor: float, reach: int) -> int | None:
    """An offset that stays below ``END``, and not below ``FIRST``, with any sum up to ``reach``."""
    mantissa, _ = factor.as_integer_ratio()
    mantissa //= mantissa & -mantissa
    size, least = 1 << mantissa.bit_length(), FIRST + reach
    offset = least + (_LEFT * pow(mantissa, -1, size) - least) % size
    fits = np.flatnonzero(offset + reach < END)
    return int(offset[fits[0]]) if fits.size else None

"""Division by a scale as a product: ``x * high + x * low``, with one rounding of the sum.

On Zen 5 a division of 512 bits takes twice as long as all else that quantizing does. The two factors are 48 bits of
1 / scale, so the sum is the quotient rounded to float32, but perhaps where it is very near the middle between two
floats. What is quantized changes at 255 places only, so those are looked at.
"""

from __future__ import annotations

import numpy as np

from ..quant.params import QParams

NEIGHBOURS = 3
"""Floats on either side of a place where the quantized value changes."""


def reciprocal(y: QParams) -> tuple[np.ndarray, np.ndarray] | None:
    """Float32 factors, high and low, of every scale of ``y``; None where a quantized value could differ.

    Both are positive, so that infinities stay, and both the sum and the quotient grow with x. So they quantize all
    numbers alike if they do around every place where either changes.
    """
    scale, zero_point = y.scale.reshape(-1, 1), y.zero_point.reshape(-1, 1).astype(np.float32)
    exact = 1 / scale.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        high = np.nextafter(exact.astype(np.float32), np.float32(0))
        low = (exact - high).astype(np.float32)
    normal = np.finfo(np.float32).tiny
    if not (np.all(np.isfinite(high)) and np.all(low >= normal)):
        return None
    lo, hi = y.range
    changes = (np.arange(lo, hi) + np.float32(0.5) - zero_point).astype(np.float32)
    x = _around((changes * scale).astype(np.float32))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        quotient = x / scale
        total = x.astype(np.float64) * high + (x * low).astype(np.float64)
    wanted = np.clip(np.rint(quotient) + zero_point, lo, hi)
    # float64 rounds the sum, too: what it may have been instead is to give the same
    sums = ((total * (1 + by)).astype(np.float32) for by in (-(2.0**-50), 2.0**-50))
    same = all(np.array_equal(np.clip(np.rint(each) + zero_point, lo, hi), wanted) for each in sums)
    changing = wanted.reshape(*changes.shape, -1)
    seen = np.all(changing.max(-1) - changing.min(-1) == 1)
    return (high.reshape(-1), low.reshape(-1)) if same and seen else None


def _around(x: np.ndarray) -> np.ndarray:
    """[channels, n] -> [channels, n * (2 * NEIGHBOURS + 1)], neighbours side by side."""
    below, above = [x], [x]
    for _ in range(NEIGHBOURS):
        below.append(np.nextafter(below[-1], np.float32(-np.inf)))
        above.append(np.nextafter(above[-1], np.float32(np.inf)))
    return np.stack([*below, *above[1:]], -1).reshape(len(x), -1)

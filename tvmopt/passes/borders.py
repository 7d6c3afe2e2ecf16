"""What constant channels add to the sums of a convolution, where that depends on the place.

They meet padding that has another value, or are images themselves: a depthwise convolution of a constant channel has
other values along its border. Most rows and columns are alike, though: under windows of 3 that are padded by 1, there
are three cases of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from ..quant.regions import Border, Conv
from ..quant.slicing import centered
from .known import Known

BYTES = 4
"""Of an element of a border; those of a weight are one."""


def same_everywhere(region: Conv, x: Known) -> np.ndarray:
    """Which channels of x are known to add the same to a sum at every place: bool [C]."""
    constant, value = x.uniform()
    padded = any(region.padding) or region.transposed
    return constant & (value == int(region.x.zero_point)) if padded else constant


def by_place(region: Conv, shape: tuple[int, ...], x: Known) -> np.ndarray:
    """Which other known channels are better added as a border than multiplied: bool [C], all or none.

    shape : of the result. A border's bytes must be no more than those of their weights.
    """
    known = x.mask & ~same_everywhere(region, x)
    weighed = np.flatnonzero(known & centered(region).any(axis=(0, 2)))
    if region.transposed or not len(weighed):
        return np.zeros_like(known)
    cases = prod(len(read) for read, _ in _cases(region, shape, x.filled()[0, weighed]))
    return known & (BYTES * cases <= len(weighed) * prod(region.weight.shape[2:]))


def border(region: Conv, shape: tuple[int, ...], x: Known, channels: np.ndarray) -> Border:
    """What ``channels`` of x, which are known, add to the sums of a result of ``shape``, bias apart."""
    patch = x.filled()[0, channels].astype(np.int64) - int(region.x.zero_point)
    index = []
    for axis, (read, cases) in enumerate(_cases(region, shape, patch)):
        inside = (read >= 0) & (read < patch.shape[1 + 2 * axis])
        patch = np.take(patch, np.where(inside, read, 0), 1 + 2 * axis)  # that axis becomes cases x taps
        patch = patch * inside.reshape(*inside.shape, *(1,) * (patch.ndim - 3 - 2 * axis))
        index.append(cases)
    rank = len(index)
    weight = centered(region)[:, channels].astype(np.int64)
    taps_first = patch.transpose(0, *range(2, 2 * rank + 1, 2), *range(1, 2 * rank, 2))
    cases = taps_first.shape[1 + rank :]
    values = weight.reshape(len(weight), -1) @ taps_first.reshape(-1, prod(cases))
    return Border(values.astype(np.int32).reshape(-1, *cases), tuple(index))


def _cases(region: Conv, shape: tuple[int, ...], x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By spatial axis: the places that windows read in each case, int [cases, taps], outside of the image for padding;
    and which case each row or column of the result is, int32 [T].

    x : [C, *S].
    """
    geometry = zip(region.weight.shape[2:], region.strides, region.dilations, region.padding, strict=False)
    for axis, (taps, stride, dilation, begin) in enumerate(geometry, 1):
        _, kinds = _alike(np.moveaxis(x, axis, 0))
        read = np.add.outer(np.arange(shape[1 + axis]) * stride - begin, np.arange(taps) * dilation)
        inside = (read >= 0) & (read < len(kinds))
        first, cases = _alike(np.where(inside, kinds[np.where(inside, read, 0)], -1))
        yield read[first], cases


def _alike(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of every kind of lines, and the kind of each: int32 [kinds], int32 [lines]."""
    seen: dict[bytes, int] = {}
    kinds = np.array([seen.setdefault(line.tobytes(), len(seen)) for line in lines], np.int32)
    return np.unique(kinds, return_index=True)[1].astype(np.int32), kinds

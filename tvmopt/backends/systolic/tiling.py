"""Convolutions and matrix products as tiles of a weight-stationary array.

A product of ``pixels`` positions with a weight matrix [K, N] is cut into tiles of the array's rows (of K) and columns
(of N). Of K, the elements of a window come in the order (tap, channel).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...quant.params import QParams
from ...quant.reference import multiplier
from ...quant.regions import Conv, MatMul
from ...target import Systolic


@dataclass(frozen=True, eq=False)
class Matrix:
    """Weights for some channels of the input, which give some channels of the output.

    channel, channels : of the input.
    column            : first channel of the output.
    weight            : int8 [taps * channels, columns].
    """

    channel: int
    channels: int
    column: int
    weight: np.ndarray


@dataclass(frozen=True)
class Span:
    """``first``, and how many."""

    first: int
    count: int

    @property
    def slice(self) -> slice:
        return slice(self.first, self.first + self.count)


def cut(length: int, size: int) -> list[Span]:
    """``length`` in pieces of at most ``size``."""
    return [Span(first, min(size, length - first)) for first in range(0, length, size)]


def centered(region: Conv | MatMul) -> np.ndarray:
    """Weights minus their zero points, int32: a convolution's as [O, I, down, across], a matrix as [N, K, 1, 1]."""
    weight, params = (region.weight, region.w) if isinstance(region, Conv) else (region.weight, region.b)
    assert weight is not None
    values = weight.astype(np.int32) - params.along(weight.ndim)[1].astype(np.int32)
    if isinstance(region, MatMul):
        return values.T[:, :, None, None]
    return values[:, :, None] if values.ndim == 3 else values


def matrices(region: Conv | MatMul, machine: Systolic) -> Iterator[Matrix]:
    """The weight matrices of a region. Groups share a tile where several fit: each has its block on the diagonal.

    A depthwise 3x3 convolution thus has 7 channels in a tile of 64 rows: 7 * 9 rows, 7 columns, 1.5 % of the array.
    """
    weight = centered(region).astype(np.int8)
    groups = region.groups if isinstance(region, Conv) else 1
    outputs, per_group, *kernel = weight.shape
    taps, block = int(np.prod(kernel)), outputs // groups
    together = max(1, min(machine.rows // (taps * per_group), machine.columns // block))
    for some in cut(groups, together):
        matrix = np.zeros((taps, some.count, per_group, some.count, block), np.int8)
        for index in range(some.count):
            first = (some.first + index) * block
            matrix[:, index, :, index] = (
                weight[first : first + block].reshape(block, per_group, taps).transpose(2, 1, 0)
            )
        yield Matrix(
            some.first * per_group,
            some.count * per_group,
            some.first * block,
            matrix.reshape(taps * some.count * per_group, some.count * block),
        )


def parameters(region: Conv | MatMul) -> tuple[np.ndarray, np.ndarray]:
    """Of every output channel, the float32 multiplier and the int32 bias of sums of int8 products.

    The sums are of activations that are not centered, as int8: their zero point is in the bias, modulo 2**32.
    """
    weight = centered(region)
    x, w = activations(region)
    bias = np.zeros(len(weight), np.int32) if region.bias is None else region.bias
    zero_point = int(x.zero_point) - (128 if x.dtype == np.uint8 else 0)
    total = bias.astype(np.int64) - zero_point * weight.sum((1, 2, 3), dtype=np.int64)
    scale = np.broadcast_to(multiplier(x, w, region.y), total.shape)
    return scale.astype(np.float32), total.astype(np.int32)


def activations(region: Conv | MatMul) -> tuple[QParams, QParams]:
    """Parameters of the activations and of the weights."""
    if isinstance(region, Conv):
        return region.x, region.w
    assert region.a is not None
    return region.a, region.b

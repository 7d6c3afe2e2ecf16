"""Contractions whose rows are gathered in every way that kernels for GPUs know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.lowering.strategies import tensor
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Conv, MatMul, Region, Residual

A, B, Y, OTHER = (QParams.per_tensor(scale, zero, "int8") for scale, zero in ((0.1, 3), (0.02, 0), (2.0, -5), (0.3, 7)))


def conv(
    channels: int, outputs: int, kernel: int, size: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> tuple[Region, tuple[np.ndarray, ...]]:
    """A padded 2-d convolution of square images, and its input."""
    weight = tensor((outputs, channels // groups, kernel, kernel), "int8", 1)
    padding = (dilation * (kernel - 1) // 2,) * 4
    bias = np.arange(outputs, dtype=np.int32) * 100
    region = Conv(A, B, weight, bias, Y, (-128, 127), (stride,) * 2, padding, (dilation,) * 2, groups)
    return region, (tensor((1, channels, size, size), "int8", 2),)


def matmul(rows: int, length: int, columns: int, to_float: bool = False) -> tuple[Region, tuple[np.ndarray, ...]]:
    """A product with a constant matrix, and its other factor."""
    y, clamp = (None, (0, 0)) if to_float else (Y, (-128, 127))
    weight, bias = tensor((length, columns), "int8", 1), np.arange(columns, dtype=np.int32)
    return MatMul(A, B, weight, bias, y, clamp), (tensor((rows, length), "int8", 2),)


def activations(
    a: tuple[int, ...], b: tuple[int, ...], zero_points: tuple[int, int], signed: bool = False, to_float: bool = False
) -> tuple[Region, tuple[np.ndarray, ...]]:
    """A product of two tensors of these shapes that are computed at run time, u8 or s8, and its factors."""
    dtype = "int8" if signed else "uint8"
    left, right = (QParams.per_tensor(scale, zero, dtype) for scale, zero in zip((0.1, 0.02), zero_points, strict=True))
    y, clamp = (None, (0, 0)) if to_float else (QParams.per_tensor(1.0, 100, "uint8"), (10, 255))
    return MatMul(left, right, None, None, y, clamp), (tensor(a, dtype, 1), tensor(b, dtype, 2))


def in_pairs(case: tuple[Region, tuple[np.ndarray, ...]]) -> tuple[Region, tuple[np.ndarray, ...]]:
    """The same with two weights of every four 0, along the input channels."""
    region, inputs = case
    axis = 1 if isinstance(region, Conv) else 0
    weight = np.moveaxis(region.weight, axis, -1).copy()
    fours = weight.reshape(*weight.shape[:-1], -1, 4)
    fours[np.random.default_rng(0).permuted(np.broadcast_to([True, True, False, False], fours.shape), axis=-1)] = 0
    return replace(region, weight=np.moveaxis(weight, -1, axis)), inputs


def residual(case: tuple[Region, tuple[np.ndarray, ...]]) -> tuple[Region, tuple[np.ndarray, ...]]:
    """The same, from which another tensor is subtracted."""
    region, inputs = case
    assert isinstance(region, Conv | MatMul)
    combine = Binary("sub", Y, OTHER, None, A, (-100, 127))
    other = tensor(reference.run(region, *inputs).shape, "int8", 3)
    return Residual(region, combine, False), (*inputs, other)


CASES = {
    "3x3": conv(64, 64, 3, 9),
    "3x3 with half a step to spare": conv(48, 40, 3, 6),
    "1x1": conv(96, 72, 1, 7),
    "strided 1x1": conv(32, 32, 1, 9, stride=2),
    "strided 7x7 of an image": conv(3, 64, 7, 20, stride=2),
    "dilated": conv(32, 32, 3, 11, dilation=2),
    "channels that are no multiple of 16": conv(20, 33, 3, 7),
    "groups": conv(64, 64, 3, 6, groups=2),
    "many small groups": conv(32, 32, 3, 6, groups=8),
    "one row": matmul(1, 200, 100),
    "one step": matmul(70, 32, 32),
    "many rows": matmul(300, 128, 136),
    "to float": matmul(33, 64, 50, to_float=True),
    "residual": residual(conv(32, 64, 3, 7)),
    "residual of channels that are no multiple of 8": residual(matmul(70, 128, 33)),
}

PAIRS = {
    "3x3": in_pairs(conv(64, 48, 3, 9)),
    "strided 1x1": in_pairs(conv(128, 72, 1, 9, stride=2)),
    "groups": in_pairs(conv(128, 64, 3, 5, groups=2)),
    "one row": in_pairs(matmul(1, 128, 100)),
    "many rows": in_pairs(matmul(300, 192, 136)),
    "to float": in_pairs(matmul(33, 64, 50, to_float=True)),
}

ACTIVATIONS = {
    "scores": activations((2, 3, 40, 64), (2, 3, 64, 72), (130, 121)),
    "of weights without a zero point": activations((2, 33, 48), (2, 48, 64), (0, 120)),
    "without zero points": activations((1, 16, 32), (1, 32, 32), (0, 0)),
    "signed, to float": activations((5, 7), (7, 3), (5, -128), signed=True, to_float=True),
    "one factor for several batches": activations((2, 1, 4, 33), (3, 33, 50), (7, 255)),
    "one right factor for all": activations((2, 40, 33), (33, 50), (255, 9)),
}

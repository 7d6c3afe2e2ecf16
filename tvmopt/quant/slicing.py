"""Regions on fewer channels: the same arithmetic for those that stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .params import QParams
from .regions import Conv, MatMul


def is_depthwise(region: Conv) -> bool:
    """Whether output channel c depends on input channel c alone."""
    outputs, per_group = region.weight.shape[:2]
    return not region.transposed and per_group == 1 and 1 < region.groups == outputs


def centered(region: Conv | MatMul) -> np.ndarray:
    """The weight minus its zero point: int32 [outputs, inputs, taps]; of a grouped convolution one group's inputs."""
    assert region.weight is not None
    if isinstance(region, MatMul):
        values = region.weight.astype(np.int32) - region.b.along(2)[1].astype(np.int32)
        return values.T[..., None]
    values = region.weight.astype(np.int32) - region.w.along(region.weight.ndim)[1].astype(np.int32)
    values = values.reshape(*values.shape[:2], -1)
    return values.swapaxes(0, 1) if region.transposed else values


def nonzero(region: Conv | MatMul) -> np.ndarray:
    """Whether an output multiplies an input with anything but zero: bool [outputs, inputs], as ``centered``."""
    return np.asarray(centered(region).any(axis=2))


def taken(p: QParams, index: np.ndarray) -> QParams:
    """Parameters of the channels in ``index``."""
    return p if p.axis is None else QParams(p.scale[index], p.zero_point[index], p.axis)


def sliced(region: Conv | MatMul, inputs: np.ndarray, outputs: np.ndarray) -> Conv | MatMul:
    """A convolution (ungrouped) or matrix product of the input channels ``inputs`` to the outputs ``outputs``."""
    if isinstance(region, MatMul):
        assert region.weight is not None
        weight = np.ascontiguousarray(region.weight[np.ix_(inputs, outputs)])
        bias = None if region.bias is None else region.bias[outputs]
        return replace(region, weight=weight, b=taken(region.b, outputs), bias=bias)
    assert region.groups == 1
    rows = (inputs, outputs) if region.transposed else (outputs, inputs)
    weight = np.ascontiguousarray(region.weight[np.ix_(*rows)])
    border = None if region.border is None else replace(region.border, values=region.border.values[outputs])
    return replace(region, weight=weight, w=taken(region.w, outputs), bias=region.bias[outputs], border=border)


def grouped_sliced(region: Conv, outputs: np.ndarray) -> Conv:
    """A convolution in groups (not transposed) of those to which ``outputs`` belong, all of each."""
    groups = len(outputs) * region.groups // len(region.weight)
    weight, bias = region.weight[outputs], region.bias[outputs]
    return replace(region, weight=weight, w=taken(region.w, outputs), bias=bias, groups=groups)

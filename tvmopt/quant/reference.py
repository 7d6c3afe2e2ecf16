"""The integer reference: what every region computes, in numpy, for tests and ``verify``.

Slow and plain on purpose. Each function takes a region and its inputs (quantized arrays in ONNX shapes)
and returns the output every back end has to give, bit for bit. Of regions with ``requantize = "fixed"`` the last
step is that of ``fixed.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from itertools import product
from typing import Any

import numpy as np

from . import fixed, softmax
from .params import QParams
from .regions import (
    ArgMax,
    Binary,
    Clamp,
    Concat,
    Conv,
    Dequantize,
    MatMul,
    Pool,
    Quantize,
    Region,
    Residual,
    Softmax,
    Table,
    WeightOnly,
)


def requantize(acc: np.ndarray, multiplier: np.ndarray | np.floating, y: QParams, clamp: Clamp) -> np.ndarray:
    """``saturate(round_half_even(float32(acc) * multiplier) + y_zp)``, all in float32.

    acc int32, multiplier float32 broadcastable to acc -> y's dtype. This is ONNX Runtime's (MLAS)
    requantization, with its order of operations.
    """
    zero_point = int(y.zero_point)
    value = acc.astype(np.float32) * np.asarray(multiplier, np.float32)
    value = np.clip(value, np.float32(clamp[0] - zero_point), np.float32(clamp[1] - zero_point))
    return (np.rint(value).astype(np.int32) + zero_point).astype(y.dtype)


def finish(region: Conv | MatMul, acc: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """The region's 8-bit output from int32 sums, bias included."""
    assert region.y is not None
    if region.requantize == "fixed":
        return fixed.requantize(acc, fixed.Scale.of(multiplier), region.y, region.clamp)
    return requantize(acc, multiplier, region.y, region.clamp)


def multiplier(x: QParams, w: QParams, y: QParams | None) -> np.ndarray:
    """``(x_scale * w_scale) / y_scale`` in float32 (without y: ``x_scale * w_scale``); shape of w's scale."""
    m = (x.scale * w.scale).astype(np.float32)
    return m if y is None else (m / y.scale).astype(np.float32)


def quantize(x: np.ndarray | np.floating, y: QParams) -> np.ndarray:
    """ONNX QuantizeLinear: ``saturate(round_half_even(x / scale) + zero_point)`` in float32."""
    scale, zero_point = y.along(x.ndim)
    lo, hi = y.range
    value = np.rint(x.astype(np.float32) / scale) + zero_point.astype(np.float32)
    return np.clip(value, lo, hi).astype(y.dtype)


def dequantize(x: np.ndarray, p: QParams) -> np.ndarray:
    """ONNX DequantizeLinear: ``(x - zero_point) * scale`` in float32."""
    scale, zero_point = p.along(x.ndim)
    return (x.astype(np.int32) - zero_point.astype(np.int32)).astype(np.float32) * scale


@singledispatch
def run(region: Region, *inputs: np.ndarray) -> np.ndarray:
    """Compute ``region`` on quantized ``inputs``."""
    raise TypeError(f"no reference for {type(region).__name__}")


@run.register
def _(region: Quantize, x: np.ndarray) -> np.ndarray:
    return quantize(x, region.y)


@run.register
def _(region: Dequantize, x: np.ndarray) -> np.ndarray:
    return dequantize(x, region.x)


@run.register
def _(region: Table, x: np.ndarray) -> np.ndarray:
    return region.table[x.astype(np.int32) - region.x.range[0]]


@run.register
def _(region: Concat, *xs: np.ndarray) -> np.ndarray:
    parts = [
        x if p.same(region.y) else quantize(dequantize(x, p), region.y) for x, p in zip(xs, region.xs, strict=True)
    ]
    return np.concatenate(parts, axis=region.axis)


@run.register
def _(region: Softmax, x: np.ndarray) -> np.ndarray:
    if region.requantize == "fixed":
        return softmax.softmax(region, x)
    real = dequantize(x, region.x).astype(np.float64)
    e = np.exp(real - real.max(region.axis, keepdims=True))
    return quantize(e / e.sum(region.axis, keepdims=True), region.y)


@run.register
def _(region: ArgMax, x: np.ndarray) -> np.ndarray:
    return np.asarray(x.argmax(region.axis, keepdims=region.keepdims), np.int64)


@run.register
def _(region: Binary, a: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """ONNX Runtime's QLinearAdd and QLinearMul on x86 (MLAS), with its order of operations.

    add, sub: ``fma(a, ra, fma(b, rb, offset))``, see ``sum_factors``;
    mul: ``float32((a - a_zp) * (b - b_zp)) * ratio + y_zp`` (two roundings), ``ratio = (a.scale * b.scale) / y.scale``.
    The sum includes y's zero point before it is rounded half to even.
    """
    b = region.constant if region.constant is not None else rest[0]
    if region.requantize == "fixed":
        return fixed.binary(region, a, b)
    f32 = np.float32
    a_zp, b_zp, y_zp = (f32(int(p.zero_point)) for p in (region.a, region.b, region.y))
    av, bv = a.astype(f32), b.astype(f32)
    if region.op == "mul":
        ratio = f32(f32(region.a.scale * region.b.scale) / region.y.scale)
        value = ((av - a_zp) * (bv - b_zp)) * ratio + y_zp
    else:
        ra, rb, offset = sum_factors(region)
        value = fma(av, ra, fma(bv, rb, offset))
    return np.clip(np.rint(value), *region.clamp).astype(region.y.dtype)


@run.register
def _(region: Residual, *inputs: np.ndarray) -> np.ndarray:
    *own, other = inputs
    result = run(region.product, *own)
    return run(region.combine, *((other, result) if region.second else (result, other)))


def sum_factors(region: Binary) -> tuple[np.float32, np.float32, np.float32]:
    """``ra = a.scale / y.scale``, ``rb`` likewise (negated to subtract), and ``y_zp - fma(ra, a_zp, rb * b_zp)``.

    The fused multiply-add is what compilers make of MLAS's formula in its AVX2 kernel.
    """
    f32 = np.float32
    a_zp, b_zp, y_zp = (f32(int(p.zero_point)) for p in (region.a, region.b, region.y))
    ra, rb = f32(region.a.scale / region.y.scale), f32(region.b.scale / region.y.scale)
    rb = -rb if region.op == "sub" else rb
    return ra, rb, f32(y_zp - fma(a_zp, ra, f32(rb * b_zp)))


def fma(x: np.ndarray | np.float32, factor: np.float32, addend: np.ndarray | np.float32) -> np.ndarray:
    """``x * factor + addend`` rounded once to float32, for x of at most 16 bits (exact in float64 before)."""
    return (x.astype(np.float64) * np.float64(factor) + np.asarray(addend, np.float64)).astype(np.float32)


@run.register
def _(region: MatMul, a: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    if region.a is None:
        a_scale, a_zero_point, *others = rest
        a_params = QParams(np.asarray(a_scale, np.float32), np.asarray(a_zero_point))
    else:
        a_params, others = region.a, list(rest)
    b = region.weight if region.weight is not None else others[0]
    b_zp = region.b.zero_point.astype(np.int32)
    acc = np.matmul(a.astype(np.int32) - int(a_params.zero_point), b.astype(np.int32) - b_zp)
    integer_bias = region.bias is not None and region.bias.dtype == np.int32
    if integer_bias:
        acc = acc + region.bias
    m = multiplier(a_params, region.b, region.y)
    if region.y is not None:
        return finish(region, acc, m)
    value = acc.astype(np.float32) * m
    return value if region.bias is None or integer_bias else value + region.bias


@run.register
def _(region: WeightOnly, a: np.ndarray) -> np.ndarray:
    block = len(region.weight) // len(region.scale)
    scale, zero_point = (np.repeat(part, block, axis=0) for part in (region.scale, region.zero_point))
    value = a @ ((region.weight.astype(np.int32) - zero_point).astype(np.float32) * scale)
    return value if region.bias is None else value + region.bias


def windows(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil: bool = False) -> int:
    """Number of window positions along one axis (ONNX Conv / pooling output shape)."""
    span = size + begin + end - (dilation * (kernel - 1) + 1)
    count = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (count - 1) * stride >= size + begin:  # the last window may not start in the end padding
        count -= 1
    return count


@run.register
def _(region: Conv, x: np.ndarray) -> np.ndarray:
    acc = _transposed_conv(region, x) if region.transposed else _conv(region, x)
    column = (-1,) + (1,) * (x.ndim - 2)
    acc = acc + region.bias.reshape(column)
    if region.border is not None:
        acc = acc + region.border.image
    m = multiplier(region.x, region.w, region.y)
    m = m.reshape(column) if m.ndim else m
    return acc.astype(np.float32) * m if region.y is None else finish(region, acc, m)


def _centered(region: Conv, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and weight minus their zero points, int32."""
    rank = region.weight.ndim
    return x.astype(np.int32) - int(region.x.zero_point), (
        region.weight.astype(np.int32) - region.w.along(rank)[1].astype(np.int32)
    )


def _conv(region: Conv, x: np.ndarray) -> np.ndarray:
    """Accumulators int32 [N, O, *T], without bias."""
    centered, weight = _centered(region, x)
    rank = x.ndim - 2
    padded = np.pad(centered, [(0, 0), (0, 0), *zip(region.padding[:rank], region.padding[rank:], strict=True)])
    outputs, per_group, *kernel = weight.shape
    size = [
        windows(s, k, st, d, 0, 0)
        for s, k, st, d in zip(padded.shape[2:], kernel, region.strides, region.dilations, strict=True)
    ]
    acc = np.zeros((x.shape[0], outputs, *size), np.int32)
    block = outputs // region.groups
    for group in range(region.groups):
        inputs = padded[:, group * per_group : (group + 1) * per_group]
        rows = slice(group * block, (group + 1) * block)
        for tap in product(*map(range, kernel)):
            place = [
                slice(t * d, t * d + (n - 1) * st + 1, st)
                for t, d, n, st in zip(tap, region.dilations, size, region.strides, strict=True)
            ]
            acc[:, rows] += np.einsum("nc...,oc->no...", _at(inputs, place), _at(weight[rows], tap))
    return acc


def _transposed_conv(region: Conv, x: np.ndarray) -> np.ndarray:
    """Accumulators int32 [N, O, *T] of ONNX ConvTranspose, without bias."""
    centered, weight = _centered(region, x)
    rank = x.ndim - 2
    inputs, per_group, *kernel = weight.shape
    extra = region.output_padding or (0,) * rank
    full = [
        (s - 1) * st + d * (k - 1) + 1 + e
        for s, st, d, k, e in zip(x.shape[2:], region.strides, region.dilations, kernel, extra, strict=True)
    ]
    acc = np.zeros((x.shape[0], per_group * region.groups, *full), np.int32)
    block = inputs // region.groups
    for group in range(region.groups):
        rows = slice(group * block, (group + 1) * block)
        outs = slice(group * per_group, (group + 1) * per_group)
        for tap in product(*map(range, kernel)):
            place = [
                slice(t * d, t * d + (s - 1) * st + 1, st)
                for t, d, s, st in zip(tap, region.dilations, x.shape[2:], region.strides, strict=True)
            ]
            window = _at(acc[:, outs], place)
            window += np.einsum("nc...,co->no...", centered[:, rows], _at(weight[rows], tap))
    begins, ends = region.padding[:rank], region.padding[rank:]
    return _at(acc, [slice(b, f - e) for b, e, f in zip(begins, ends, full, strict=True)])


def _at(array: np.ndarray, place: Sequence[int | slice]) -> np.ndarray:
    """The view ``array[..., *place]``."""
    index: tuple[Any, ...] = (..., *place)
    return array[index]


def counts(region: Pool, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> np.ndarray:
    """How many elements every window position averages; size 1 along axes where it is the same."""
    rank = len(region.kernel)
    sizes = []
    for axis in range(rank):
        begin, end = region.padding[axis], region.padding[rank + axis]
        lo, hi = (-begin, shape[2 + axis] + end) if region.count_include_pad else (0, shape[2 + axis])
        starts = np.arange(out_shape[2 + axis])[:, None] * region.strides[axis] - begin
        taps = starts + np.arange(region.kernel[axis]) * region.dilations[axis]
        count = ((taps >= lo) & (taps < hi)).sum(axis=1)
        sizes.append(count[:1] if (count == count[0]).all() else count)
    return np.asarray(
        math.prod(c.reshape([-1 if i == axis else 1 for i in range(rank)]) for axis, c in enumerate(sizes))
    )


def _average(region: Pool, total: np.ndarray, count: int) -> np.ndarray:
    """Mean of ``count`` values whose centered sum is ``total``."""
    if region.requantize == "fixed":
        return fixed.average(region, total, count)
    m = np.float32(region.x.scale / (region.y.scale * np.float32(count)))
    return requantize(total, m, region.y, region.y.range)


@run.register
def _(region: Pool, x: np.ndarray) -> np.ndarray:
    """Average: int32 sum of (x - x_zp), times ``x_scale / (y_scale * count)`` in float32, rounded half to even."""
    rank = x.ndim - 2
    begins, ends = region.padding[:rank], region.padding[rank:]
    size = [
        windows(s, k, st, d, b, e, region.ceil_mode)
        for s, k, st, d, b, e in zip(
            x.shape[2:], region.kernel, region.strides, region.dilations, begins, ends, strict=True
        )
    ]
    maximum = region.op == "max"
    out = np.empty((*x.shape[:2], *size), np.int32)
    centered = x.astype(np.int32) - (0 if maximum else int(region.x.zero_point))
    for place in product(*map(range, size)):
        at: tuple[Any, ...] = (..., *place)
        axes = [
            [p * st - b + t * d for t in range(k)]
            for p, st, b, d, k in zip(place, region.strides, begins, region.dilations, region.kernel, strict=True)
        ]
        inside = [[i for i in axis if 0 <= i < s] for axis, s in zip(axes, x.shape[2:], strict=True)]
        window = centered[np.ix_(range(x.shape[0]), range(x.shape[1]), *inside)]
        reduced = tuple(range(2, x.ndim))
        if maximum:
            out[at] = window.max(axis=reduced)
            continue
        if region.count_include_pad:  # padding counts, what ceil_mode adds beyond it does not
            counted = [[i for i in axis if i < s + e] for axis, s, e in zip(axes, x.shape[2:], ends, strict=True)]
        else:
            counted = inside
        count = np.prod([len(axis) for axis in counted])
        out[at] = _average(region, window.sum(axis=reduced, dtype=np.int32), int(count))
    return out.astype(region.y.dtype)

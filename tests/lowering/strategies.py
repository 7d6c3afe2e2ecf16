"""Random quantization parameters and tensors that reach the edges of their range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.reference import windows
from tvmopt.quant.regions import Border, Conv, MatMul

dtypes = st.sampled_from(["int8", "uint8"])
scales = st.floats(2**-10, 2**3, width=32)
modes = st.sampled_from(["float", "fixed"])


@st.composite
def params(draw: st.DrawFn, dtype: str | None = None) -> QParams:
    """Parameters of a tensor with one scale."""
    dtype = dtype or draw(dtypes)
    info = np.iinfo(dtype)
    return QParams.per_tensor(draw(scales), draw(st.integers(int(info.min), int(info.max))), dtype)


@st.composite
def clamps(draw: st.DrawFn, y: QParams) -> tuple[int, int]:
    """The whole range, what relu leaves of it, or any other part."""
    lo, hi = y.range
    whole, relu = st.just((lo, hi)), st.just((int(y.zero_point), hi))
    part = st.tuples(st.integers(lo, hi), st.integers(lo, hi)).map(lambda pair: (min(pair), max(pair)))
    return draw(whole | relu | part)


def tensor(shape: tuple[int, ...], dtype: str | np.dtype, seed: int = 0) -> np.ndarray:
    """A quantized tensor, uniform over its dtype's whole range, both ends included."""
    info = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)
    x.flat[:2] = (info.min, info.max)[: x.size]
    return x


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, QParams]:
    """A weight of either dtype, symmetric or not, per tensor or per channel of ``axis``."""
    dtype = draw(dtypes)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = (shape[axis],) if draw(st.booleans()) else ()
    middle = 0 if dtype == "int8" else 128
    zero_point = np.full(size, middle) if draw(st.booleans()) else rng.integers(middle - 128, middle + 128, size)
    scale = np.asarray(2.0 ** -rng.integers(6, 10, size) if draw(st.booleans()) else rng.uniform(0.001, 0.02, size))
    params = QParams(scale.astype(np.float32), np.asarray(zero_point, dtype), axis if size else None)
    return tensor(shape, dtype, 1), params


@st.composite
def outputs_for(draw: st.DrawFn, x: QParams, w: QParams, terms: int) -> QParams | None:
    """Parameters under which sums of so many products spread over the output's range, or none (float32)."""
    if draw(st.integers(0, 4)) == 0:
        return None
    y = draw(params())
    scale = float(x.scale) * float(w.scale.mean()) * 60 * max(terms, 1) ** 0.5
    exact = 2.0 ** np.round(np.log2(scale))  # where x and w have powers of two as well, ties are common
    return QParams(np.asarray(exact if draw(st.booleans()) else scale, np.float32), y.zero_point)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
    """Convolutions of any kind with an input: strides, dilations, padding, groups, transposed."""
    rank = draw(st.integers(1, 2))
    per_axis = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(rank))  # noqa: E731
    kernel = per_axis(1, 7) if draw(st.booleans()) else (1,) * rank
    strides, dilations = per_axis(1, 3), per_axis(1, 2)
    padding = tuple(draw(st.integers(0, (k - 1) * d)) for k, d in zip(kernel * 2, dilations * 2, strict=True))
    size = per_axis(1, 12)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = (draw(st.sampled_from([1, 3, 4, 5, 16])) * groups for _ in range(2))
    if draw(st.integers(0, 3)) == 0:
        groups, outputs = channels, channels * draw(st.integers(1, 2))
    transposed = draw(st.integers(0, 3)) == 0
    extra: tuple[int, ...] = ()
    if transposed:
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True))
        shape = (channels, outputs // groups, *kernel)
        axes = zip(size, strides, dilations, kernel, extra, padding[:rank], padding[rank:], strict=True)
        out = [(n - 1) * s + d * (k - 1) + 1 + e - b - f for n, s, d, k, e, b, f in axes]
    else:
        shape = (outputs, channels // groups, *kernel)
        axes = zip(size, kernel, strides, dilations, padding[:rank], padding[rank:], strict=True)
        out = [windows(*axis) for axis in axes]
    assume(min(out) > 0)
    x = draw(params())
    weight, w = draw(weights(shape, 1 if transposed else 0))
    if transposed and groups > 1 and w.axis is not None:
        w = QParams(w.scale[0], w.zero_point[0])  # ONNX quantizes weights per output channel of one group
    y = draw(outputs_for(x, w, weight.size // outputs))
    clamp = (0, 0) if y is None else draw(clamps(y))
    bias = np.random.default_rng(2).integers(-(2**12), 2**12, outputs).astype(np.int32)
    border = draw(borders(outputs, out)) if groups == 1 and draw(st.booleans()) else None
    geometry = (strides, padding, dilations, groups, transposed, extra, border)
    region = Conv(x, w, weight, bias, y, clamp, *geometry, requantize=draw(modes))
    return region, tensor((draw(st.integers(1, 2)), channels, *size), x.dtype)


@st.composite
def borders(draw: st.DrawFn, outputs: int, size: Sequence[int]) -> Border:
    """Of a result of so many channels and of this size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    cases = [draw(st.integers(1, 3)) for _ in size]
    index = tuple(rng.integers(0, count, length).astype(np.int32) for count, length in zip(cases, size, strict=True))
    return Border(rng.integers(-(2**14), 2**14, (outputs, *cases)).astype(np.int32), index)


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
    """Depthwise convolutions with an input, also with several outputs per channel."""
    rank = draw(st.integers(1, 2))
    per_axis = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(rank))  # noqa: E731
    kernel, strides, dilations = per_axis(1, 7), per_axis(1, 3), per_axis(1, 2)
    padding = tuple(draw(st.integers(0, (k - 1) * d)) for k, d in zip(kernel * 2, dilations * 2, strict=True))
    size = per_axis(1, 20)
    axes = zip(size, kernel, strides, dilations, padding[:rank], padding[rank:], strict=True)
    assume(min(windows(*axis) for axis in axes) > 0)
    channels, multiplier = draw(st.sampled_from([2, 3, 8, 16, 24, 33, 64, 100])), draw(st.sampled_from([1, 1, 2, 3]))
    outputs = channels * multiplier
    x = draw(params())
    weight, w = draw(weights((outputs, 1, *kernel), 0))
    y = draw(outputs_for(x, w, weight.size // outputs))
    clamp = (0, 0) if y is None else draw(clamps(y))
    bias = np.random.default_rng(2).integers(-(2**12), 2**12, outputs).astype(np.int32)
    region = Conv(x, w, weight, bias, y, clamp, strides, padding, dilations, channels, requantize=draw(modes))
    return region, tensor((draw(st.integers(1, 2)), channels, *size), x.dtype)


_extents = st.sampled_from([1, 2, 3, 7, 16, 21, 33])


@st.composite
def matmuls(draw: st.DrawFn) -> tuple[MatMul, tuple[np.ndarray, ...]]:
    """a [*, M, K] x constant [K, N], static or dynamic, quantized or float output, with any bias."""
    *lead, m, k, n = draw(st.lists(_extents, min_size=3, max_size=5))
    weight, b = draw(weights((k, n), 1))
    a = draw(params())
    dynamic = draw(st.booleans())
    y = None if dynamic else draw(outputs_for(a, b, k))
    clamp = (0, 0) if y is None else draw(clamps(y))
    rng = np.random.default_rng(3)
    biases = [None, rng.integers(-(2**12), 2**12, n).astype(np.int32)]
    if y is None:
        biases.append(rng.normal(0, 10, n).astype(np.float32))
    region = MatMul(None if dynamic else a, b, weight, draw(st.sampled_from(biases)), y, clamp, requantize=draw(modes))
    x = tensor((*lead, m, k), a.dtype)
    return region, (x, a.scale, a.zero_point) if dynamic else (x,)


@st.composite
def activation_matmuls(draw: st.DrawFn) -> tuple[MatMul, tuple[np.ndarray, ...]]:
    """a [*, M, K] x b [*, K, N] with broadcasting, both activations."""
    m, k, n = draw(_extents), draw(_extents), draw(_extents)
    batch = draw(st.sampled_from([(), (3,), (2, 3)]))
    ones = tuple(draw(st.sampled_from([1, extent])) for extent in batch)
    left, right = (batch, ones) if draw(st.booleans()) else (ones, batch)
    if draw(st.booleans()):
        right = ()
    a, b = draw(params()), draw(params())
    dynamic = draw(st.integers(0, 3)) == 0
    y = None if dynamic else draw(outputs_for(a, b, k))
    clamp = (0, 0) if y is None else draw(clamps(y))
    region = MatMul(None if dynamic else a, b, None, None, y, clamp, requantize=draw(modes))
    x, other = tensor((*left, m, k), a.dtype), tensor((*right, k, n), b.dtype, 1)
    return region, (x, a.scale, a.zero_point, other) if dynamic else (x, other)

"""Random regions of every kind, and inputs for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tests.lowering.strategies import borders, clamps, outputs_for, params, tensor, weights
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import (
    ArgMax,
    Binary,
    Concat,
    Conv,
    Dequantize,
    MatMul,
    Pool,
    Quantize,
    Region,
    Softmax,
    Table,
    WeightOnly,
)

Case = tuple[Region, tuple[np.ndarray, ...]]


def _bias(draw: st.DrawFn, length: int) -> np.ndarray:
    bound = draw(st.sampled_from([0, 100, 20000]))
    return np.random.default_rng(draw(st.integers(0, 99))).integers(-bound, bound + 1, length).astype(np.int32)


@st.composite
def convs(draw: st.DrawFn) -> Case:
    rank = draw(st.sampled_from([1, 2]))
    groups, per_group, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    transposed = draw(st.booleans())
    x = draw(params())
    strides = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    if transposed:
        shape = (groups * per_group, outputs, *kernel)
        weight, w = draw(weights(shape, 1))
        if groups > 1 and w.axis is not None:
            w = QParams(w.scale[0], w.zero_point[0])
        output_padding = tuple(draw(st.integers(0, stride - 1)) for stride in strides)
        count = outputs * groups
    else:
        weight, w = draw(weights((groups * outputs, per_group, *kernel), 0))
        output_padding, count = (), groups * outputs
    y = draw(outputs_for(x, w, per_group * int(np.prod(kernel))))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    bias = _bias(draw, count) if y is not None or not transposed else np.zeros(count, np.int32)
    region = Conv(
        x, w, weight, bias, y, (0, 0) if y is None else draw(clamps(y)), strides, padding,
        tuple(draw(st.integers(1, 2)) for _ in range(rank)), groups, transposed, output_padding,
    )  # fmt: skip
    size = [draw(st.integers(5, 7)) for _ in range(rank)]
    data = tensor((draw(st.integers(1, 2)), groups * per_group, *size), x.dtype)
    if groups == 1 and draw(st.booleans()):
        region = replace(region, border=draw(borders(count, reference.run(region, data).shape[2:])))
    return region, (data,)


@st.composite
def matmuls(draw: st.DrawFn) -> Case:
    batch = draw(st.sampled_from([(), (2,), (1, 3)]))
    m, k, n = (draw(st.integers(1, 5)) for _ in range(3))
    a = draw(params())
    kind = draw(st.sampled_from(["weight", "activations", "dynamic"]))
    left = tensor((*batch, m, k), a.dtype, 3)
    if kind == "activations":
        b = draw(params())
        y = draw(outputs_for(a, b, k))
        return MatMul(a, b, None, None, y, (0, 0) if y is None else draw(clamps(y))), (
            left,
            tensor((*batch, k, n), b.dtype, 4),
        )
    weight, b = draw(weights((k, n), 1))
    if kind == "dynamic":
        bias = draw(st.sampled_from([None, np.linspace(-1, 1, n, dtype=np.float32)]))
        return MatMul(None, b, weight, bias, None, (0, 0)), (left, a.scale, a.zero_point)
    y = draw(outputs_for(a, b, k))
    bias = None if draw(st.booleans()) else _bias(draw, n)
    return MatMul(a, b, weight, bias, y, (0, 0) if y is None else draw(clamps(y))), (left,)


@st.composite
def weight_onlys(draw: st.DrawFn) -> Case:
    blocks, block, n = (draw(st.integers(1, 5)) for _ in range(3))
    dtype = draw(st.sampled_from(["int8", "uint8"]))
    weight, zero_point = tensor((blocks * block, n), dtype, 12), tensor((blocks, n), dtype, 13)
    scale = np.linspace(0.01, 0.2, blocks * n, dtype=np.float32).reshape(blocks, n)
    bias = draw(st.sampled_from([None, np.linspace(-1, 1, n, dtype=np.float32)]))
    x = np.random.default_rng(14).normal(size=(*draw(st.sampled_from([(), (2,)])), 3, len(weight))).astype(np.float32)
    return WeightOnly(weight, scale, zero_point, bias), (x,)


@st.composite
def binaries(draw: st.DrawFn) -> Case:
    a, b, y = draw(params()), draw(params()), draw(params())
    left, right = tensor((2, 3, 4), a.dtype, 5), tensor(draw(st.sampled_from([(2, 3, 4), (3, 1), (4,)])), b.dtype, 6)
    constant = draw(st.booleans())
    op = draw(st.sampled_from(["add", "sub", "mul"]))
    region = Binary(op, a, b, right if constant else None, y, draw(clamps(y)))
    return region, (left,) if constant else (left, right)


@st.composite
def pools(draw: st.DrawFn) -> Case:
    x = draw(params())
    op = draw(st.sampled_from(["max", "average"]))
    rank = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    region = Pool(
        op, x, x if op == "max" else draw(params()), kernel, tuple(draw(st.integers(1, 2)) for _ in kernel),
        tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel * 2), (1,) * rank, draw(st.booleans()),
        op == "average" and draw(st.booleans()),
    )  # fmt: skip
    return region, (tensor((1, 2, *[draw(st.integers(4, 6)) for _ in kernel]), x.dtype, 7),)


@st.composite
def concats(draw: st.DrawFn) -> Case:
    xs = tuple(draw(st.lists(params(), min_size=1, max_size=3)))
    axis = draw(st.integers(0, 1))
    tensors = tuple(tensor((2, 3), p.dtype, 8 + i) for i, p in enumerate(xs))
    return Concat(xs, draw(params()), axis), tensors


@st.composite
def tables(draw: st.DrawFn) -> Case:
    x, y = draw(params()), draw(params())
    return Table(x, y, np.random.default_rng(9).permutation(tensor((256,), y.dtype, 10))), (tensor((3, 5), x.dtype),)


@st.composite
def argmaxes(draw: st.DrawFn) -> Case:
    x = draw(params())
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    axis = draw(st.integers(0, len(shape) - 1))
    few = draw(st.booleans())  # values, so that several are the largest
    values = tensor(shape, x.dtype, draw(st.integers(0, 99)))
    return ArgMax(x, axis, draw(st.booleans())), (values // 64 if few else values,)


@st.composite
def softmaxes(draw: st.DrawFn) -> Case:
    x, y = draw(params()), draw(params())
    y = replace(y, scale=np.float32(draw(st.sampled_from([1 / 256, 1 / 255, 1 / 100, 2.0**-16]))))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    axis = draw(st.integers(0, len(shape) - 1))
    shape[axis] = draw(st.sampled_from([1, 2, 5, 10, 64, 129, 1000]))
    return Softmax(x, y, axis), (tensor(tuple(shape), x.dtype, draw(st.integers(0, 99))),)


@st.composite
def edges(draw: st.DrawFn) -> Case:
    p = draw(params())
    if draw(st.booleans()):
        p = QParams(np.float32([0.1, 0.2, 0.3]), np.full(3, p.zero_point), 1)
    x = tensor((2, 3), p.dtype, 11)
    return (Dequantize(p), (x,)) if draw(st.booleans()) else (Quantize(p), (x.astype(np.float32) / 7,))


regions: st.SearchStrategy[Case] = st.one_of(
    convs(), matmuls(), weight_onlys(), binaries(), pools(), concats(), tables(), argmaxes(), edges()
)

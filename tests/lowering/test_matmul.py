from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import MatMul

from .harness import check
from .strategies import clamps, outputs_for, params, tensor, weights

TARGETS = ["x86/generic", "x86/avx2", "x86/skylake-avx512", "x86/cascadelake"]
extents = st.sampled_from([1, 2, 3, 7, 16, 21, 33])


@st.composite
def constant(draw: st.DrawFn) -> tuple[MatMul, tuple[np.ndarray, ...]]:
    """a [*, M, K] x constant [K, N], static or dynamic, quantized or float output, with any bias."""
    *lead, m, k, n = draw(st.lists(extents, min_size=3, max_size=5))
    weight, b = draw(weights((k, n), 1))
    a = draw(params())
    dynamic = draw(st.booleans())
    y = None if dynamic else draw(outputs_for(a, b, k))
    clamp = (0, 0) if y is None else draw(clamps(y))
    rng = np.random.default_rng(3)
    biases = [None, rng.integers(-(2**12), 2**12, n).astype(np.int32)]
    if y is None:
        biases.append(rng.normal(0, 10, n).astype(np.float32))
    region = MatMul(None if dynamic else a, b, weight, draw(st.sampled_from(biases)), y, clamp)
    x = tensor((*lead, m, k), a.dtype)
    return region, (x, a.scale, a.zero_point) if dynamic else (x,)


@st.composite
def batched(draw: st.DrawFn) -> tuple[MatMul, tuple[np.ndarray, ...]]:
    """a [*, M, K] x b [*, K, N] with broadcasting, both activations."""
    m, k, n = draw(extents), draw(extents), draw(extents)
    batch = draw(st.sampled_from([(), (3,), (2, 3)]))
    ones = tuple(draw(st.sampled_from([1, extent])) for extent in batch)
    left, right = (batch, ones) if draw(st.booleans()) else (ones, batch)
    if draw(st.booleans()):
        right = ()
    a, b = draw(params()), draw(params())
    dynamic = draw(st.integers(0, 3)) == 0
    y = None if dynamic else draw(outputs_for(a, b, k))
    clamp = (0, 0) if y is None else draw(clamps(y))
    region = MatMul(None if dynamic else a, b, None, None, y, clamp)
    x, other = tensor((*left, m, k), a.dtype), tensor((*right, k, n), b.dtype, 1)
    return region, (x, a.scale, a.zero_point, other) if dynamic else (x, other)


@pytest.mark.parametrize("target", TARGETS)
@given(case=constant() | batched(), shifted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_random_regions(target, case, shifted):
    region, inputs = case
    check(region, *inputs, target=targets.get(target), shifted=shifted and region.a is not None)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_largest_sums(target, dtype):
    """Every product and every partial sum at its extreme, and sums that wrap around in 32 bits."""
    info = np.iinfo(dtype)
    lengths = 2**16 + 4  # 255 * 255 * 2**16 exceeds 2**31
    x = np.full((2, lengths), [[info.min], [info.max]], dtype)
    weight = np.full((lengths, 3), [[info.min, info.max, info.min]], dtype)
    a = QParams.per_tensor(1.0, info.max, dtype)
    for zero_point in (info.min, info.max, 0 if dtype == "int8" else 128):
        b = QParams.per_tensor(1.0, zero_point, dtype)
        region = MatMul(a, b, weight, np.array([0, 2**31 - 1, -(2**31)], np.int32), None, (0, 0))
        check(region, x, target=targets.get(target))
        check(replace(region, weight=None, bias=None), x, weight, target=targets.get(target))

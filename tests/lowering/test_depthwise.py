import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.reference import windows
from tvmopt.quant.regions import Conv

from .harness import check
from .strategies import clamps, outputs_for, params, tensor, weights

TARGETS = ["x86/generic", "x86/avx2", "x86/skylake-avx512", "x86/cascadelake"]


@st.composite
def regions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
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
    region = Conv(x, w, weight, bias, y, clamp, strides, padding, dilations, channels)
    return region, tensor((draw(st.integers(1, 2)), channels, *size), x.dtype)


@pytest.mark.parametrize("target", TARGETS)
@given(case=regions(), shifted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_random_regions(target, case, shifted):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted)

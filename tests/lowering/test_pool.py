import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.reference import windows
from tvmopt.quant.regions import Pool

from .harness import check
from .strategies import modes, params, tensor


@st.composite
def regions(draw: st.DrawFn) -> tuple[Pool, np.ndarray]:
    rank = draw(st.integers(1, 3))
    per_axis = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(rank))  # noqa: E731
    op = draw(st.sampled_from(["max", "average"]))
    x = draw(params())
    y = x if op == "max" or draw(st.booleans()) else draw(params())
    size, kernel, strides, dilations = per_axis(3, 9), per_axis(1, 4), per_axis(1, 3), per_axis(1, 2)
    padding = tuple(draw(st.integers(0, (k - 1) * d)) for k, d in zip(kernel * 2, dilations * 2, strict=True))
    ceil = draw(st.booleans())
    begins, ends = padding[:rank], padding[rank:]
    for s, k, st_, d, b, e in zip(size, kernel, strides, dilations, begins, ends, strict=True):
        count = windows(s, k, st_, d, b, e, ceil)
        assume(count > 0)
        starts = np.arange(count) * st_ - b
        taps = starts[:, None] + np.arange(k) * d
        assume(((taps >= 0) & (taps < s)).any(axis=1).all())  # every window sees some input
    region = Pool(op, x, y, kernel, strides, padding, dilations, ceil, draw(st.booleans()), requantize=draw(modes))
    return region, tensor((2, 5, *size), x.dtype)


@given(case=regions(), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=80, deadline=None)
def test_random_regions(case, last, shifted):
    region, x = case
    check(region, x, last=last, shifted=shifted, threads=1)


@pytest.mark.parametrize("mode", ["float", "fixed"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_global_average(dtype, mode):
    x, y = QParams.per_tensor(0.02, 5, dtype), QParams.per_tensor(0.011, 9, dtype)
    check(Pool("average", x, y, (7, 7), (1, 1), (0, 0, 0, 0), (1, 1), requantize=mode), tensor((1, 64, 7, 7), dtype))

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.reference import windows
from tvmopt.quant.regions import Conv

from .harness import check
from .strategies import clamps, outputs_for, params, tensor, weights

TARGETS = ["x86/generic", "x86/avx2", "x86/skylake-avx512", "x86/cascadelake"]


@st.composite
def regions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
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
    region = Conv(x, w, weight, bias, y, clamp, strides, padding, dilations, groups, transposed, extra)
    return region, tensor((draw(st.integers(1, 2)), channels, *size), x.dtype)


@pytest.mark.parametrize("target", TARGETS)
@given(case=regions(), shifted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_random_regions(target, case, shifted):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted)

"""When neighbouring pixels read bytes of their own, and what it saves. Results: test_conv.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.neighbours import lower_neighbours
from tvmopt.lowering.packing import choose
from tvmopt.lowering.window import Window
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

from .harness import RUNNABLE, check
from .strategies import tensor

VNNI = targets.get("x86/cascadelake")


def case(outputs: int, channels: int, kernel: int, stride: int, width: int) -> tuple[Conv, np.ndarray]:
    """A convolution that gives so many pixels a row, and its input."""
    x, y = QParams.per_tensor(0.5, 3, "uint8"), QParams.per_tensor(9.0, 100, "uint8")
    w = QParams(np.linspace(0.1, 1.9, outputs).astype(np.float32), np.zeros(outputs, np.int8), 0)
    weight, bias = tensor((outputs, channels, kernel, kernel), "int8"), np.arange(outputs, dtype=np.int32) * 1000
    padding = (kernel // 2, kernel // 2, kernel // 2, max(0, kernel // 2 + 1 - stride))
    region = Conv(x, w, weight, bias, y, (7, 200), (stride, stride), padding, (1, 1))
    return region, tensor((1, channels, 6, width * stride), "uint8")


def steps(outputs: int, channels: int, kernel: int, stride: int, width: int) -> int | None:
    """Multiply-adds of a row of the window for a vector of sums; None without such a kernel."""
    region, x = case(outputs, channels, kernel, stride, width)
    stored = Stored(x.shape, "uint8", channels_last=True)
    shape = (1, outputs, -(-6 // stride), width)
    window = Window.of(region, x.shape, shape)
    form = choose(VNNI, "uint8", window.weight)
    kernel_ = lower_neighbours(region, window, stored, shape, 3, form, VNNI)
    return None if kernel_ is None else kernel_.constants[0].shape[2]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ((8, 3, 3, 2, 8), 3),  # bytes 0-8 and 6-14: together 4 steps
        ((4, 3, 3, 2, 8), 4),  # of 4 pixels: together 7
        ((8, 3, 3, 1, 8), None),  # the next pixel's bytes begin before the next 4
        ((8, 3, 3, 2, 6), None),  # no whole vectors of bytes
        ((16, 3, 3, 2, 8), None),  # a pixel fills the lanes
        ((8, 1, 3, 2, 8), None),  # 3 bytes and 3: nothing to save
    ],
)
def test_steps(of, expected):
    assert steps(*of) == expected


@pytest.mark.skipif("x86/cascadelake" not in RUNNABLE, reason="this CPU has no AVX512-VNNI")
@given(
    outputs=st.sampled_from([4, 8]),
    channels=st.integers(1, 7),
    kernel=st.integers(2, 5),
    stride=st.integers(1, 3),
    groups=st.integers(1, 3),
)
@settings(max_examples=15, deadline=None)
def test_results(outputs, channels, kernel, stride, groups):
    region, x = case(outputs, channels, kernel, stride, 8 * groups)
    check(region, x, target=VNNI, threads=1)

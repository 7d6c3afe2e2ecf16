"""Softmax in integers, beside softmax in float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.reference import run
from tvmopt.quant.regions import Softmax
from tvmopt.quant.softmax import FINEST, MOST, top

SIZES = [1, 2, 3, 10, 64, 127, 128, 129, 500, MOST]


def distance(x_scale: float, y_scale: float, x: np.ndarray) -> int:
    """The most steps between an output of the fixed mode and one of the float mode."""
    region = Softmax(QParams.per_tensor(x_scale, 5, "int8"), QParams.per_tensor(y_scale, -128, "int8"), x.ndim - 1)
    exact, integer = run(region, x), run(replace(region, requantize="fixed"), x)
    return int(np.abs(exact.astype(int) - integer).max())


@given(
    size=st.sampled_from(SIZES),
    x_scale=st.floats(1e-6, 10),
    y_scale=st.sampled_from([1 / 256, 1 / 255, 1 / 100, 1.0, FINEST]),
    spread=st.sampled_from([1, 10, 300]),
    seed=st.integers(0, 999),
)
@settings(max_examples=300, deadline=None)
def test_it_is_within_a_step_of_the_float_mode(size, x_scale, y_scale, spread, seed):
    rng = np.random.default_rng(seed)
    x = np.clip(rng.integers(-128, 128) + rng.normal(0, spread, (4, size)), -128, 127)
    assert distance(x_scale, y_scale, x.astype(np.int8)) <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("y_scale", [1 / 256, FINEST])
def test_extremes(size: int, y_scale: float):
    """All equal; one far above the others; steps of all sizes; exponentials whose errors add up."""
    rows = np.full((4, size), -128, np.int8)
    rows[1, 0] = rows[2, : size // 2] = 127
    rows[3] = np.linspace(-128, 127, size)
    for x_scale in (1e-30, 1e-3, np.log(2) / 16, 0.05, np.log(top(size) * 2) / 255, 1e30):
        assert distance(float(x_scale), y_scale, rows) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_sums_fit_31_bits(size: int):
    assert size * top(size) < 2**31

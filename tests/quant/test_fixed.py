"""Fixed-point requantization: the specification's own integers, and never far from the float mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lowering.strategies import convolutions, params
from tvmopt.quant import reference
from tvmopt.quant.fixed import Scale
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Pool

factors = st.floats(2**-31, 2**20, width=32)
int32 = st.integers(-(2**31), 2**31 - 1)


@given(factor=factors, value=int32)
@settings(max_examples=300, deadline=None)
def test_a_scale_is_its_factor_and_rounds_half_up(factor: float, value: int) -> None:
    scale = Scale.of(np.float32(factor))
    multiplier, shift = int(scale.multiplier), int(scale.shift)
    assert 0 <= multiplier < 2**31 and 2 <= shift <= 62
    assert multiplier == factor * 2.0**shift  # exactly: 24 significant bits fit
    assert int(scale(np.array(value, np.int32))) == (2 * value * multiplier + 2**shift) // 2 ** (shift + 1)


def test_scales_outside_the_range_of_shifts() -> None:
    tiny, huge, zero = (Scale.of(factor) for factor in (2.0**-70, 2.0**40, 0.0))
    values = np.array([-(2**31), -1, 0, 1, 2**31 - 1], np.int32)
    assert not tiny(values).any() and not zero(values).any()
    assert np.array_equal(np.clip(huge(values), -128, 127), [-128, -128, 0, 127, 127])


def test_rounding_up_to_the_next_power_of_two() -> None:
    scale = Scale.of(1 - 2.0**-40)
    assert (int(scale.multiplier), int(scale.shift)) == (2**30, 30)


@given(count=st.integers(1, 65536), mean=st.integers(-128, 127), rest=st.integers(0, 65535))
@settings(max_examples=300, deadline=None)
def test_an_average_rounds_to_the_nearest(count: int, mean: int, rest: int) -> None:
    total = mean * count + rest % count
    rounded = int(Scale.reciprocal(count)(np.array(total, np.int32)))
    assert 2 * abs(rounded * count - total) <= count  # a negative half goes down: the reciprocal is a little too large


@given(case=convolutions())
@settings(max_examples=100, deadline=None)
def test_convolutions_are_within_one_step_of_the_float_mode(case) -> None:
    region, x = case
    fixed, real = (reference.run(replace(region, requantize=mode), x) for mode in ("fixed", "float"))
    assert fixed.dtype == real.dtype
    if region.y is None:
        np.testing.assert_array_equal(fixed, real)
    else:
        assert np.abs(fixed.astype(int) - real).max() <= 1


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@given(a=params(), b=params(), y=params())
@settings(max_examples=50, deadline=None)
def test_binary_ops_are_within_one_step_of_the_float_mode(op: str, a: QParams, b: QParams, y: QParams) -> None:
    every = [np.arange(p.range[0], p.range[1] + 1, dtype=p.dtype) for p in (a, b)]
    left, right = (part.ravel() for part in np.meshgrid(*every))
    region = Binary(op, a, b, None, y, y.range)
    fixed, real = (reference.run(replace(region, requantize=mode), left, right) for mode in ("fixed", "float"))
    assert np.abs(fixed.astype(int) - real).max() <= 1


@pytest.mark.parametrize("scale", [0.5, 0.013])
def test_averages_are_within_one_step_of_the_float_mode(scale: float) -> None:
    x, y = QParams.per_tensor(0.5, -3, "int8"), QParams.per_tensor(scale, 0 if scale != 0.5 else -3, "int8")
    region = Pool("average", x, y, (3, 2), (1, 1), (1, 1, 1, 0), (1, 1))
    image = np.random.default_rng(0).integers(-128, 128, (2, 3, 40, 40), np.int8)
    fixed, real = (reference.run(replace(region, requantize=mode), image) for mode in ("fixed", "float"))
    assert np.abs(fixed.astype(int) - real).max() <= 1

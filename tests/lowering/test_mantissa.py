"""Sums in the mantissa of a float are scaled to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvmopt.lowering.mantissa import END, FIRST, offsets

factors = st.floats(2.0**-13, 0.5, width=32)


@given(
    factor=st.lists(factors, min_size=1, max_size=3),
    reach=st.integers(0, 200_000),
    zero_point=st.integers(0, 255),
    clamp=st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted),
)
@settings(max_examples=40, deadline=None)
def test_every_sum_gives_the_same_byte(factor, reach, zero_point, clamp):
    """Float64 holds the exact result of the fused multiply-add: its terms have at most 48 bits above their last one."""
    factor = np.array(factor, np.float32)
    limits = clamp[0] - zero_point, clamp[1] - zero_point
    offset = offsets(factor, np.full(len(factor), reach), limits)
    assume(offset is not None)
    assert np.all((offset - reach >= FIRST) & (offset + reach < END))
    sums = np.arange(-reach, reach + 1, dtype=np.int32)
    for each, begin in zip(factor, offset, strict=True):
        complete = (begin.view(np.int32) + sums).view(np.float32)
        fused = (complete.astype(np.float64) * each - np.float64(begin * each)).astype(np.float32)
        wanted = np.rint(sums.astype(np.float32) * each)
        np.testing.assert_array_equal(np.rint(fused).clip(*limits), wanted.clip(*limits))


def test_most_factors_have_an_offset():
    """Of simple fractions many products come to a half, or almost: nothing may be left."""
    factor = (2.0 ** np.random.default_rng(0).uniform(-13, -1, 2000)).astype(np.float32)
    assert offsets(factor, np.full(2000, 200_000), (-128, 127)) is not None
    assert offsets(np.array([0.3], np.float32), np.array([200_000]), (-128, 127)) is None


def test_powers_of_two_leave_nothing():
    """All sums that come to a half are rounded to even."""
    factor = np.float32(2) ** np.arange(-9, 1, dtype=np.float32)
    offset = offsets(factor, np.full(10, 1000), (-128, 127))
    assert offset is not None
    sums = np.arange(-1000, 1001)
    fused = np.float32(np.multiply.outer(sums, factor.astype(float)) + factor.astype(float) * offset - factor * offset)
    np.testing.assert_array_equal(np.rint(fused), np.rint(np.multiply.outer(sums.astype(np.float32), factor)))


@pytest.mark.parametrize("factor", [0.0, -0.01, np.inf, np.nan])
def test_factors_that_do_not_grow(factor):
    assert offsets(np.array([0.01, factor], np.float32), np.array([9, 9]), (-128, 127)) is None


def test_sums_that_do_not_fit():
    factor = np.array([0.01], np.float32)
    assert offsets(factor, np.array([FIRST // 2]), (-128, 127)) is None
    most = next(most for most in range(FIRST // 2, 0, -1000) if offsets(factor, np.array([most]), (0, 255)) is not None)
    assert most > FIRST // 4


def test_a_result_that_differs_is_seen(monkeypatch):
    """With an offset whose product with the factor is no float."""
    factor = np.array([0.0017], np.float32)
    monkeypatch.setattr("tvmopt.lowering.mantissa._offset", lambda *_: FIRST + 2**21 + 1)
    assert offsets(factor, np.array([100_000]), (-128, 127)) is None

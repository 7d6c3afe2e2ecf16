"""Weights compressed into slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.lowering.sparse.slices import BLOCK, HALF, LANES, UNROLLED, WINDOW, slice_up


@pytest.mark.parametrize("shared", [1, BLOCK])
@given(slices=st.integers(1, 3), length=st.integers(1, 200), zeros=st.floats(0, 1), seed=st.integers(0, 2**16))
def test_nothing_is_lost(shared, slices, length, zeros, seed):
    rng = np.random.default_rng(seed)
    shape = (slices * LANES, length)
    weight = rng.integers(-128, 128, shape) * (rng.random(shape) >= zeros)
    packed = slice_up(weight.astype(np.int8), shared)
    again = np.zeros((slices * LANES, length + WINDOW), int)
    for i, (begin, end) in enumerate(zip(packed.begins, packed.begins[1:], strict=False)):
        for step in range(begin, end):
            inputs = packed.windows[step] * HALF + packed.places[step].repeat(shared, 0)
            for lane in range(LANES):
                np.add.at(again[i * LANES + lane], inputs[lane], packed.values[step, lane])
    np.testing.assert_array_equal(again[:, :length], weight)
    assert not again[:, length:].any()
    assert (packed.begins % UNROLLED == 0).all()
    assert (packed.places < WINDOW).all()


def test_windows_slide_past_zeros():
    """One step takes the inputs at both ends of a window, another those of the next window that is needed."""
    weight = np.zeros((LANES, 1000), np.int8)
    weight[0, [1, 60, 990]] = weight[5, 33] = 1
    packed = slice_up(weight, 1)
    assert packed.begins.tolist() == [0, 2]
    assert packed.windows.tolist() == [0, 990 // HALF]

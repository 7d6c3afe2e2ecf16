"""Compressed weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.lowering.sparse.groups import ROWS, count_steps, group


@given(
    depth=st.sampled_from([2, 4]),
    groups=st.integers(1, 6),
    length=st.integers(1, 40),
    zeros=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_nothing_is_lost(depth, groups, length, zeros, seed):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (groups * ROWS, length)) * (rng.random((groups * ROWS, length)) >= zeros)
    packed = group(weight.astype(np.int8), depth)
    again = np.zeros_like(weight)
    for i, (begin, end) in enumerate(zip(packed.begins, packed.begins[1:], strict=False)):
        for inputs, values in zip(packed.inputs[begin:end], packed.values[begin:end], strict=True):
            for k, column in zip(inputs, values.T, strict=True):
                again[i * ROWS : (i + 1) * ROWS, k] += column
    np.testing.assert_array_equal(again, weight)
    assert packed.begins[-1] == count_steps(weight, depth)


def test_only_used_inputs_cost_steps():
    weight = np.zeros((2 * ROWS, 32), np.int8)
    weight[0, [3, 30]], weight[ROWS - 1, [7, 8, 9]] = 1, 1
    packed = group(weight, 4)
    assert packed.begins.tolist() == [0, 2, 2]
    assert packed.inputs.shape == (2, 4)
    assert packed.inputs.flat[:5].tolist() == [3, 7, 8, 9, 30]

"""How weights are laid out: nothing is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tvmopt.lowering.packing import Packing, pairs


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 4)).flatmap(
        lambda shape: arrays(np.int8, (shape[0], 4 * shape[1]), elements=st.integers(-2, 2))
    ),
    st.integers(0, 5),
)
def test_pairs_and_their_positions(weight, seed):
    fours = weight.reshape(len(weight), -1, 4)
    keep = np.random.default_rng(seed).permuted(np.broadcast_to([1, 1, 0, 0], fours.shape).astype(np.int8), axis=-1)
    fours *= keep
    values, positions = pairs(weight)
    assert (positions[:, ::2] < positions[:, 1::2]).all()
    rebuilt = np.zeros_like(fours)
    np.put_along_axis(rebuilt, positions.reshape(*fours.shape[:2], 2), values.reshape(*fours.shape[:2], 2), -1)
    np.testing.assert_array_equal(rebuilt, fours)


def test_words_of_positions():
    """Two bits a weight, from the lowest; the first two of every four where there are no weights."""
    weight = np.zeros((1, 64), np.int8)
    weight[0, [1, 3, 6, 7]] = 5, 6, 7, 8
    values, words = Packing(32, 32, "uint8", "int8", pairs=True).pack(weight)
    assert values.shape == (1, 1, 32, 32)
    np.testing.assert_array_equal(values[0, 0, 0, :6], [5, 6, 7, 8, 0, 0])
    assert words.shape == (1, 1, 32, 2)
    assert words.view(np.uint32)[0, 0, 0, 0] == 0x444444ED
    assert (words.view(np.uint32)[0, 0, 1:] == 0x44444444).all()

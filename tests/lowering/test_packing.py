"""How weights are laid out: nothing is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tvmopt import target as targets
from tvmopt.lowering.packing import Packing, choose, pairs


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


def test_weights_of_four_bits_are_two_to_a_byte():
    weight = np.random.default_rng(0).integers(-8, 8, (20, 13)).astype(np.int16)
    form = choose(targets.get("x86/cascadelake"), "uint8", weight, rows=1)
    (packed,) = form.pack(weight)
    assert (form.w, packed.shape, packed.dtype) == ("int4", (2, 2, 16, 4), np.int8)
    halves = np.concatenate([(packed >> shift & 15) - 8 for shift in (0, 4)], axis=-1)  # [blocks, steps, lanes, 8]
    unpacked = halves.transpose(0, 2, 1, 3).reshape(32, 16)
    np.testing.assert_array_equal(unpacked[:20, :13], weight)
    assert not unpacked[20:].any() and not unpacked[:, 13:].any()


def test_many_rows_and_larger_weights_have_a_byte_each():
    weight = np.random.default_rng(0).integers(-8, 8, (20, 13)).astype(np.int16)
    target = targets.get("x86/cascadelake")
    assert choose(target, "uint8", weight, rows=100).w == "int8"
    assert choose(target, "uint8", weight).w == "int8"
    assert choose(target, "uint8", weight + 1, rows=1).w == "int8"

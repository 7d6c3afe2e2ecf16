"""Masks have the pattern, the share and the smallest weights, whatever the shape."""

from __future__ import annotations

from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tvmopt.compression import Prune
from tvmopt.compression.patterns import channel_norms, fits, kept, kept_channels

shapes = array_shapes(min_dims=4, max_dims=4, max_side=9)
seeds = st.integers(0, 1 << 30)
shares = st.floats(0.01, 0.99)


def squares(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 9, shape)


def dropped(count: int, share: float) -> int:
    return min(round(share * count), count - 1)


@given(shapes, seeds, shares)
def test_channels_with_the_smallest_norms_go(shape: tuple[int, ...], seed: int, share: float) -> None:
    values = squares(shape, seed)
    norms = values.sum(axis=(2, 3)).reshape(-1)
    mask = np.isin(range(norms.size), list(kept_channels([np.arange(norms.size)], [channel_norms(values)], share)))
    assert (~mask).sum() == dropped(mask.size, share)
    assert norms[~mask].max(initial=0) <= norms[mask].min()


def test_norms_count_relative_to_their_layers() -> None:
    one, other = (
        channel_norms(np.array(norms, float).reshape(1, 4, 1, 1)) for norms in ([1, 2, 3, 4], [4e6, 3e6, 2e6, 0])
    )
    same, apart = np.arange(4), np.arange(4, 8)
    assert kept_channels([same, same], [one, other], 0.25) == {0, 1, 2}
    assert kept_channels([same, same], [one, channel_norms(np.zeros((1, 4, 1, 1)))], 0.25) == {1, 2, 3}
    assert kept_channels([same, apart], [one, other], 0.5) == {2, 3, 4, 5}


def test_every_layer_keeps_a_channel() -> None:
    numbers, norms = [np.arange(4), np.array([1, 2])], [np.array([9.0, 1, 2, 9]), np.array([1.0, 2])]
    assert kept_channels(numbers, norms, 0.5) == {0, 2, 3}


@given(shapes, seeds)
def test_two_of_four_successive_inputs_go(shape: tuple[int, ...], seed: int) -> None:
    groups, outputs, inputs, positions = shape
    assert fits(shape, Prune("2:4")) == (inputs % 4 == 0)
    values = squares((groups, outputs, 4 * inputs, positions), seed)
    mask = kept(values, Prune("2:4"))
    for quad in range(inputs):
        part = slice(4 * quad, 4 * quad + 4)
        assert (mask[:, :, part].sum(axis=2) == 2).all()
        smallest_kept = np.where(mask, values, np.inf)[:, :, part].min(axis=2)
        largest_lost = np.where(mask, 0, values)[:, :, part].max(axis=2)
        assert (largest_lost <= smallest_kept).all()


@given(shapes, seeds, shares, st.integers(1, 5), st.integers(1, 5))
def test_whole_blocks_with_the_smallest_means_go(
    shape: tuple[int, ...], seed: int, share: float, outputs: int, inputs: int
) -> None:
    values = squares(shape, seed)
    mask = kept(values, Prune(f"block{outputs}x{inputs}", share))
    means = {True: [], False: []}  # type: dict[bool, list[float]]
    for group, row, column, position in np.ndindex(
        shape[0], ceil(shape[1] / outputs), ceil(shape[2] / inputs), shape[3]
    ):
        rows = slice(row * outputs, (row + 1) * outputs)
        block = (group, rows, slice(column * inputs, (column + 1) * inputs), position)
        assert mask[block].all() or not mask[block].any()
        means[bool(mask[block].all())].append(values[block].mean())
    assert len(means[False]) == dropped(len(means[False]) + len(means[True]), share)
    assert max(means[False], default=0) <= min(means[True]) * (1 + 1e-12)


@given(shapes, seeds, shares)
def test_single_weights(shape: tuple[int, ...], seed: int, share: float) -> None:
    values = squares(shape, seed)
    mask = kept(values, Prune("unstructured", share))
    assert (~mask).sum() == dropped(values.size, share)
    assert values[~mask].max(initial=0) <= values[mask].min()

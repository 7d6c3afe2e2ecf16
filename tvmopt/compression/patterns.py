"""Which weights stay: boolean masks over [groups, outputs, inputs, kernel positions] (of one group each).

``squares`` are the squared real values of the weights. Of equal ones, the first goes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .config import Prune


def fits(shape: tuple[int, ...], prune: Prune) -> bool:
    """Whether weights of this shape can be pruned in the pattern at all."""
    return prune.pattern != "2:4" or shape[2] % 4 == 0


def kept(squares: np.ndarray, prune: Prune) -> np.ndarray:
    """The mask for a pattern other than "channels"."""
    return _two_of_four(squares) if prune.block is None else _blocks(squares, *prune.block, prune.share)


def channel_norms(squares: np.ndarray) -> np.ndarray:
    """The squared L2 norms of a layer's outputs, relative to their mean."""
    norms = squares.sum(axis=(2, 3)).reshape(-1)
    return np.asarray(norms / max(norms.mean(), np.finfo(float).tiny))


def kept_channels(numbers: Sequence[np.ndarray], norms: Sequence[np.ndarray], share: float) -> set[int]:
    """Which channels stay of layers that have some in common: those with the largest norms, averaged over the layers
    that have them, and one of each layer.

    numbers : of each layer's outputs, equal where they are one channel; norms: ``channel_norms`` of these.
    """
    channels, index, count = np.unique(np.concatenate(numbers), return_inverse=True, return_counts=True)
    scores = np.bincount(index, np.concatenate(norms)) / count
    kept = set(channels[_largest(scores, share)].tolist())
    score = dict(zip(channels.tolist(), scores.tolist(), strict=True))
    return kept | {max(one.tolist(), key=score.__getitem__) for one in numbers if kept.isdisjoint(one.tolist())}


def _two_of_four(squares: np.ndarray) -> np.ndarray:
    groups, outputs, inputs, positions = squares.shape
    quads = squares.reshape(groups, outputs, inputs // 4, 4, positions)
    rank = quads.argsort(axis=3, kind="stable").argsort(axis=3)
    return (rank >= 2).reshape(squares.shape)


def _blocks(squares: np.ndarray, outputs: int, inputs: int, share: float) -> np.ndarray:
    """Blocks are compared by their mean, so that smaller ones at the end are not preferred."""
    _, rows, columns, _ = squares.shape
    sums = np.add.reduceat(squares, np.arange(0, rows, outputs), axis=1)
    sums = np.add.reduceat(sums, np.arange(0, columns, inputs), axis=2)
    sizes = np.outer(_sizes(rows, outputs), _sizes(columns, inputs))
    mask = _largest(sums / sizes[:, :, None], share)
    return mask.repeat(outputs, axis=1)[:, :rows].repeat(inputs, axis=2)[:, :, :columns]


def _sizes(length: int, step: int) -> np.ndarray:
    return np.minimum(step, length - np.arange(0, length, step))


def _largest(scores: np.ndarray, share: float) -> np.ndarray:
    """All but ``share`` of the scores, rounded; at least one."""
    mask = np.ones(scores.size, bool)
    mask[scores.argsort(axis=None, kind="stable")[: min(round(share * scores.size), scores.size - 1)]] = False
    return mask.reshape(scores.shape)

"""A sparse weight as groups of outputs that skip the inputs which none of them uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS = 4
"""Outputs in a group: their sums for 64 pixels fill half of 32 registers."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A weight [O, K], O a multiple of ``ROWS``, in compressed form.

    Attributes
    ----------
    begins : int32 [O / ROWS + 1], where the steps of each group begin.
    inputs : int32 [steps, depth], the inputs that a step takes; they need not be neighbours.
    values : [steps, ROWS, depth], their weights; 0 where a group's inputs do not fill its last step.
    """

    begins: np.ndarray
    inputs: np.ndarray
    values: np.ndarray


def group(weight: np.ndarray, depth: int) -> Groups:
    """Compress a weight [O, K]. depth : inputs that one step multiplies."""
    taken = used(weight, ROWS)
    counts = taken.sum(1)
    steps = -(-counts // depth)
    begins = np.concatenate([[0], np.cumsum(steps)]).astype(np.int32)
    groups, columns = np.nonzero(taken)
    slots = begins[groups] * depth + np.arange(len(groups)) - (np.cumsum(counts) - counts)[groups]
    total = max(int(begins[-1]), 1)  # a constant has at least one element
    inputs = np.zeros(total * depth, np.int32)
    inputs[slots] = columns
    values = np.zeros((total * depth, ROWS), weight.dtype)
    values[slots] = weight.reshape(-1, ROWS, weight.shape[1])[groups, :, columns]
    packed = values.reshape(total, depth, ROWS).swapaxes(1, 2)
    return Groups(begins, inputs.reshape(total, depth), np.ascontiguousarray(packed))


def count_steps(weight: np.ndarray, depth: int) -> int:
    """The steps that ``group`` would need."""
    return int((-(-used(weight, ROWS).sum(1) // depth)).sum())


def used(weight: np.ndarray, shared: int) -> np.ndarray:
    """Which inputs each ``shared`` outputs use: bool [O / shared, K]."""
    return np.asarray((weight != 0).reshape(-1, shared, weight.shape[1]).any(1))

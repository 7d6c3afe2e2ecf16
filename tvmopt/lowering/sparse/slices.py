"""A sparse weight as slices of 16 outputs, each of which takes its own inputs out of a window that slides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANES = 16
"""Outputs of a slice: int32 sums of a vector."""

DEPTH = 2
"""Inputs that one step multiplies for each output: what a 32-bit lane holds of 16-bit elements."""

HALF = 32
"""16-bit elements of a vector of 512 bits."""

WINDOW = 2 * HALF
"""Inputs among which a step's may lie: two vectors. They begin at multiples of ``HALF``: loads that cross cache lines
would cost more than the few steps saved."""

UNROLLED = 2
"""Steps that are taken together, each with sums of its own."""


@dataclass(frozen=True, eq=False)
class Slices:
    """A weight [O, K], O a multiple of ``LANES``, in compressed form.

    Attributes
    ----------
    begins  : int32 [O / LANES + 1], where the steps of each slice begin; multiples of ``UNROLLED``.
    windows : int32 [steps], where a step's window begins, in units of ``HALF`` inputs.
    places  : uint8 [steps, LANES, DEPTH], where in the window the inputs lie.
    values  : int8 [steps, LANES, DEPTH], their weights; 0 where an output has no input left in the window.
    """

    begins: np.ndarray
    windows: np.ndarray
    places: np.ndarray
    values: np.ndarray


def slice_up(weight: np.ndarray) -> Slices:
    """Compress an int8 weight [O, K].

    A step's window has the first input that any output of the slice still needs; each takes the next of its own that
    lie in it. All slices are packed at once, step by step.
    """
    outputs, length = weight.shape
    used = weight != 0
    counts = used.sum(1).reshape(-1, LANES)
    most = int(counts.max(initial=0))
    listed = np.full((outputs, most + DEPTH), length, np.int32)  # each output's inputs in order, then the end
    rows, found = np.nonzero(used)
    listed[rows, np.arange(len(rows)) - (np.cumsum(counts) - counts.ravel())[rows]] = found
    columns = listed.reshape(-1, LANES, most + DEPTH)
    weights = weight.reshape(-1, LANES, length)
    taken = np.zeros_like(counts)
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    slices = np.arange(len(counts))
    while (active := (taken < counts).any(1)).any():
        upcoming = np.take_along_axis(columns, taken[..., None] + np.arange(DEPTH), 2)
        window = upcoming[..., 0].min(1) // HALF
        begin = window[:, None, None] * HALF
        inside = upcoming < np.minimum(begin + WINDOW, length)
        place = np.where(inside, upcoming - begin, 0)
        at = np.minimum(upcoming, length - 1)
        value = np.where(inside, weights[slices[:, None, None], np.arange(LANES)[:, None], at], 0)
        taken = taken + inside.sum(2)
        steps.append((np.where(active, window, -1), place, value))
    return _joined(steps, len(counts))


def _joined(steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]], slices: int) -> Slices:
    """Slice by slice what was packed step by step; a window of -1 is no step."""
    numbers = np.array([step[0] for step in steps], np.int32).reshape(len(steps), slices).T
    lengths = -(-(numbers >= 0).sum(1) // UNROLLED) * UNROLLED
    begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    total = max(int(begins[-1]), UNROLLED)  # a constant has at least one element
    windows = np.zeros(total, np.int32)
    places, values = np.zeros((total, LANES, DEPTH), np.uint8), np.zeros((total, LANES, DEPTH), np.int8)
    for number, (window, place, value) in enumerate(steps):
        at = np.flatnonzero(window >= 0)
        windows[begins[at] + number] = window[at]
        places[begins[at] + number] = place[at]
        values[begins[at] + number] = value[at]
    return Slices(begins, windows, places, values)

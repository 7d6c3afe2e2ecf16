"""A sparse weight as slices of 16 outputs, each of which takes its own inputs out of a window that slides.

Of blocks of 4 outputs, all take the same inputs, and their places are stored once: 2.5 bytes a pair instead of 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .groups import used

LANES = 16
"""Outputs of a slice: int32 sums of a vector."""

DEPTH = 2
"""Inputs that one step multiplies for each output: what a 32-bit lane holds of 16-bit elements."""

HALF = 32
"""16-bit elements of a vector of 512 bits."""

WINDOW = 2 * HALF
"""Inputs among which a step's may lie: two vectors. They begin at multiples of ``HALF``: loads that cross cache lines
would cost more than the few steps saved."""

BLOCK = 4
"""Outputs that may share their places."""

UNROLLED = 2
"""Steps that are taken together, each with sums of its own."""


@dataclass(frozen=True, eq=False)
class Slices:
    """A weight [O, K], O a multiple of ``LANES``, in compressed form.

    Attributes
    ----------
    begins  : int32 [O / LANES + 1], where the steps of each slice begin; multiples of ``UNROLLED``.
    windows : int32 [steps], where a step's window begins, in units of ``HALF`` inputs.
    places  : uint8 [steps, LANES / shared, DEPTH], where in the window the inputs lie.
    values  : int8 [steps, LANES, DEPTH], their weights; 0 where an output has no input left in the window.
    """

    begins: np.ndarray
    windows: np.ndarray
    places: np.ndarray
    values: np.ndarray


def slice_up(weight: np.ndarray, shared: int) -> Slices:
    """Compress an int8 weight [O, K]. shared : outputs that take the same inputs, 1 or ``BLOCK``.

    A step's window has the first input that any output of the slice still needs; each takes the next of its own that
    lie in it. All slices are packed at once, step by step.
    """
    length, takers = weight.shape[1], LANES // shared
    needed = used(weight, shared)
    counts = needed.sum(1).reshape(-1, takers)
    most = int(counts.max(initial=0))
    listed = np.full((len(needed), most + DEPTH), length, np.int32)  # each taker's inputs in order, then the end
    rows, found = np.nonzero(needed)
    listed[rows, np.arange(len(rows)) - (np.cumsum(counts) - counts.ravel())[rows]] = found
    columns = listed.reshape(-1, takers, most + DEPTH)
    weights = weight.reshape(-1, takers, shared, length)
    taken = np.zeros_like(counts)
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while (active := (taken < counts).any(1)).any():
        upcoming = np.take_along_axis(columns, taken[..., None] + np.arange(DEPTH), 2)
        window = upcoming[..., 0].min(1) // HALF
        begin = window[:, None, None] * HALF
        inside = upcoming < np.minimum(begin + WINDOW, length)
        place = np.where(inside, upcoming - begin, 0)
        value = np.take_along_axis(weights, np.minimum(upcoming, length - 1)[:, :, None], 3)
        value = np.where(inside[:, :, None], value, 0).reshape(-1, LANES, DEPTH)
        taken = taken + inside.sum(2)
        steps.append((np.where(active, window, -1), place, value))
    return _joined(steps, len(counts), takers)


def _joined(steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]], slices: int, takers: int) -> Slices:
    """Slice by slice what was packed step by step; a window of -1 is no step."""
    numbers = np.array([step[0] for step in steps], np.int32).reshape(len(steps), slices).T
    lengths = -(-(numbers >= 0).sum(1) // UNROLLED) * UNROLLED
    begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    total = max(int(begins[-1]), UNROLLED)  # a constant has at least one element
    windows = np.zeros(total, np.int32)
    places, values = np.zeros((total, takers, DEPTH), np.uint8), np.zeros((total, LANES, DEPTH), np.int8)
    for number, (window, place, value) in enumerate(steps):
        at = np.flatnonzero(window >= 0)
        windows[begins[at] + number] = window[at]
        places[begins[at] + number] = place[at]
        values[begins[at] + number] = value[at]
    return Slices(begins, windows, places, values)

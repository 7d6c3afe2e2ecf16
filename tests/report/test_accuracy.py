"""The share of right answers."""

from __future__ import annotations

import numpy as np
import pytest

from tvmopt.errors import InputError
from tvmopt.report.accuracy import accuracy, share, top1
from tvmopt.report.samples import Samples


def samples(labels: np.ndarray | None) -> Samples:
    return Samples({"x": np.zeros((2, 2, 1))}, labels, "nowhere")


def test_rows_of_all_batches_count() -> None:
    guesses = top1([np.array([[1.0, 2, 0], [3, 2, 0]]), np.array([[0.0, 0, 1], [5, 6, 5]])])
    assert guesses is not None
    assert guesses.tolist() == [1, 0, 2, 1]
    assert accuracy(guesses, samples(np.array([1, 0, 2, 0]))) == 0.75
    assert share(guesses, np.array([1, 1, 1, 1])) == 0.5


def test_indices_are_guesses_already() -> None:
    """A model may end in ArgMax."""
    guesses = top1([np.array([3]), np.array([1])])
    assert guesses is not None
    assert guesses.tolist() == [3, 1]


def test_without_rows_or_labels_there_is_none() -> None:
    assert top1([np.zeros(3)]) is None
    assert accuracy(None, samples(np.zeros(4, int))) is None
    assert accuracy(np.zeros(4, int), samples(None)) is None
    assert share(None, None) is None


def test_labels_fit_the_rows() -> None:
    with pytest.raises(InputError, match="3 labels for 4 rows"):
        accuracy(np.zeros(4, int), samples(np.zeros(3, int)))


def test_outputs_of_no_rows_have_no_largest_value() -> None:
    assert top1([np.zeros((0, 3), np.float32)]) is None

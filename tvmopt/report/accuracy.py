"""How often the largest value of an output is at the right place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..peers.onnxruntime import Session
from .samples import Samples


def measure(session: Session, samples: Samples) -> float | None:
    """``accuracy`` of what ONNX Runtime computes as the first output."""
    first = next(iter(session.output_types))
    return accuracy(top1([session.run(feeds, [first])[first] for feeds in samples]), samples)


def top1(outputs: Sequence[np.ndarray]) -> np.ndarray | None:
    """Index of the largest value (last axis) of every row of outputs, or int64 outputs as they are, which ArgMax gave;
    None for outputs that have no rows."""
    if outputs[0].dtype == np.int64:
        return np.concatenate([output.reshape(-1) for output in outputs])
    if outputs[0].ndim < 2 or outputs[0].size == 0:
        return None
    return np.concatenate([output.reshape(-1, output.shape[-1]).argmax(axis=-1) for output in outputs])


def share(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """The share of equal elements."""
    return None if one is None or other is None else float(np.mean(one == other))


def accuracy(guesses: np.ndarray | None, samples: Samples) -> float | None:
    """Share of rows whose largest value is at the label; None without rows or labels.

    Raises InputError when there are not as many labels as rows.
    """
    if guesses is None or samples.labels is None:
        return None
    if len(guesses) != len(samples.labels):
        raise InputError(f"{len(samples.labels)} labels for {len(guesses)} rows of output")
    return share(guesses, samples.labels)

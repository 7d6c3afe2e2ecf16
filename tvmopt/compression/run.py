"""The steps put together, from file to file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from ..errors import InputError, TvmoptError
from ..peers import Feeds
from .config import Prune, Quantize
from .prune import Zeros, prune, zeros
from .quantize import prepare, quantize


@dataclass(frozen=True)
class Compressed:
    """A model before (with all its data in memory), the zeros it had and has, and how many layers were pruned."""

    before: onnx.ModelProto
    zeros_before: Zeros
    zeros_after: Zeros
    pruned_layers: int


def run(source: Path, output: Path, how: Prune | None, to: Quantize | None, samples: Iterable[Feeds]) -> Compressed:
    """Prune, then quantize with ``samples`` to calibrate; None leaves a step out.

    Raises what ``prune`` and ``quantize.prepare`` do, and InputError when the output cannot be written.
    """
    before = onnx.load(source)
    after, pruned_layers = before, 0
    try:
        if to is not None:
            after = prepare(after)
        if how is not None:
            after, pruned_layers = prune(after, how)
        if to is not None:
            after = quantize(after, to.activations, samples)
    except TvmoptError as error:
        error.file = error.file or str(source)
        raise
    try:
        onnx.save(after, output)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=output) from None
    return Compressed(before, zeros(before), zeros(after), pruned_layers)

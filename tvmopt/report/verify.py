"""Compare a compiled model with ONNX Runtime: end to end, and every quantized tensor by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnx_ir as ir

from ..peers import Feeds
from ..peers.onnxruntime import Session
from . import accuracy, graph, probe
from .samples import Samples

log = logging.getLogger(__name__)


class Runnable(Protocol):
    """Anything that runs like an artifact."""

    def run(self, inputs: Feeds) -> dict[str, np.ndarray]: ...


Build = Callable[[onnx.ModelProto], Runnable]
"""Compiles a model with the options under test."""


@dataclass(frozen=True)
class Layer:
    """One quantized tensor, computed by both sides from ONNX Runtime's values of the tensors before it.

    Differences are in steps of the quantized tensor (LSB), over all elements of all layer samples.
    """

    name: str
    op: str
    exact: bool
    max_lsb: int
    mean_lsb: float
    mismatches: int
    elements: int


@dataclass(frozen=True)
class Output:
    """One output of the model, end to end: each side computes it from the model's inputs alone.

    max_lsb : None for a float output that is not simply a dequantized tensor.
    """

    name: str
    max_abs: float
    mean_abs: float
    max_lsb: float | None


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    Attributes
    ----------
    samples        : inferences compared end to end; ``layer_samples`` of them layer by layer.
    top1_agreement : share of rows whose largest value (last axis of the first output, where that has two axes
                     or more) is at the same place on both sides.
    max_lsb        : largest difference of any layer, and ``mean_lsb`` over all elements of all layers;
                     None for a model without quantized tensors.
    exact_ops      : layers without any difference.
    first_difference : name of the first layer, in graph order, that differs.
    accuracy       : share of rows whose largest value is at the label, for tvmopt and for ONNX Runtime; None
                     without labels.
    accelerator    : what the artifact tells of its accelerator; None without one.
    """

    model: str
    target: str
    reference: str
    data: str
    samples: int
    layer_samples: int
    top1_agreement: float | None
    max_lsb: int | None
    mean_lsb: float | None
    exact_ops: int
    first_difference: str | None
    accuracy: float | None
    reference_accuracy: float | None
    outputs: list[Output]
    layers: list[Layer]
    accelerator: dict[str, Any] | None = None


def run(
    path: Path,
    target: str,
    build: Build,
    artifact: Runnable,
    samples: Samples,
    layer_samples: int,
    accelerator: dict[str, Any] | None = None,
) -> Verification:
    """Compare ``artifact``, compiled from the ONNX file ``path``, with ONNX Runtime on ``samples``.

    ``build`` compiles the cut form of the model (see ``probe``) for the comparison layer by layer; ``accelerator`` is
    what the artifact tells of its own.

    Raises
    ------
    UnsupportedError : ONNX Runtime does not take the model, so there is nothing to compare with.
    """
    model = probe.load(path)
    whole = Session(path, integer=True)
    ours, theirs = [], []
    for index, feeds in enumerate(samples):
        log.info("verify: sample %d of %d", index + 1, len(samples))
        theirs.append(whole.run(feeds))
        ours.append(artifact.run(feeds))
    layers = _layers(model, build, samples, layer_samples)
    elements = sum(layer.elements for layer in layers)
    first = next(iter(whole.output_types))
    guesses, reference = (accuracy.top1([outputs[first] for outputs in side]) for side in (ours, theirs))
    return Verification(
        model=str(path),
        target=target,
        reference=whole.version,
        data=samples.origin,
        samples=len(samples),
        layer_samples=min(layer_samples, len(samples)) if layers else 0,
        top1_agreement=accuracy.share(guesses, reference),
        max_lsb=max((layer.max_lsb for layer in layers), default=None),
        mean_lsb=sum(layer.mean_lsb * layer.elements for layer in layers) / elements if elements else None,
        exact_ops=sum(layer.exact for layer in layers),
        first_difference=next((layer.name for layer in layers if not layer.exact), None),
        accuracy=accuracy.accuracy(guesses, samples),
        reference_accuracy=accuracy.accuracy(reference, samples),
        outputs=[_output(value, ours, theirs) for value in model.graph.outputs],
        layers=layers,
        accelerator=accelerator,
    )


@dataclass
class _Tally:
    """Differences of one layer, gathered over samples."""

    largest: int = 0
    total: int = 0
    mismatches: int = 0
    elements: int = 0

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        difference = np.abs(ours.astype(np.int64) - theirs)
        self.largest = max(self.largest, int(difference.max(initial=0)))
        self.total += int(difference.sum())
        self.mismatches += int(np.count_nonzero(difference))
        self.elements += difference.size


def _layers(model: ir.Model, build: Build, samples: Samples, count: int) -> list[Layer]:
    taps = probe.taps(model, Session(probe.all_tapped(model), optimize=False).output_types)
    if not taps:
        return []
    names = [tap.name for tap in taps]
    reference = Session(probe.tapped(model, taps), integer=True)
    tallies = {name: _Tally() for name in names}
    artifact: Runnable | None = None
    fed: dict[str, str] = {}
    for index, feeds in zip(range(count), samples, strict=False):
        log.info("verify: layers, sample %d of %d", index + 1, min(count, len(samples)))
        theirs = reference.run(feeds, names)
        if artifact is None:
            opened, fed = probe.cut(model, theirs)
            artifact = build(opened)
        ours = artifact.run({**feeds, **{fed[name]: theirs[name] for name in fed}})
        for name in names:
            tallies[name].add(_same_shape(ours, theirs, name), theirs[name])
    return [_layer(tap, tallies[tap.name]) for tap in taps]


def _layer(tap: probe.Tap, tally: _Tally) -> Layer:
    mean = tally.total / max(tally.elements, 1)
    return Layer(tap.name, tap.op, tally.mismatches == 0, tally.largest, mean, tally.mismatches, tally.elements)


def _output(value: ir.Value, ours: list[dict[str, np.ndarray]], theirs: list[dict[str, np.ndarray]]) -> Output:
    name = str(value.name)
    largest, total, elements = 0.0, 0.0, 0
    for mine, other in zip(ours, theirs, strict=True):
        difference = np.abs(_same_shape(mine, other, name).astype(np.float64) - other[name].astype(np.float64))
        # Both sides infinite, or both NaN, is agreement; one alone stays NaN and is reported as infinite.
        same = (mine[name] == other[name]) | ((mine[name] != mine[name]) & (other[name] != other[name]))
        difference = np.where(same, 0.0, np.nan_to_num(difference, nan=np.inf))
        largest = max(largest, float(difference.max(initial=0)))
        total += float(difference.sum())
        elements += difference.size
    quantized = next(iter(theirs))[name].dtype.kind in "iu"
    scale = 1.0 if quantized else graph.output_scale(value)
    return Output(name, largest, total / max(elements, 1), None if scale is None else largest / scale)


def _same_shape(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], name: str) -> np.ndarray:
    mine, other = ours[name], theirs[name]
    if (mine.shape, mine.dtype) != (other.shape, other.dtype):
        raise AssertionError(f"'{name}' is {mine.dtype}{mine.shape}, ONNX Runtime has {other.dtype}{other.shape}")
    return mine

"""What ``tvmopt inspect`` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..model import Model, TensorSpec
from .metrics import Layer, Summary, layers, summary


@dataclass(frozen=True)
class Inspection(Summary):
    """The sums of a model, its inputs and outputs, and every op: where it runs, and why not in int8."""

    model: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: tuple[Layer, ...]


def inspect(model: Model) -> Inspection:
    """Describe a model that ``passes.pipeline`` has grouped."""
    sums = asdict(summary(model))
    return Inspection(**sums, model=model.source, inputs=model.inputs, outputs=model.outputs, ops=tuple(layers(model)))

"""What ``tvmopt inspect`` tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..model import Model, TensorSpec
from .metrics import Layer, Saving, Summary, layers, summary, total


@dataclass(frozen=True)
class Inspection(Summary):
    """The sums of a model, its inputs and outputs, and every op: where it runs, and why not in int8.

    target    : that ``Layer.format`` is about; "" for none.
    skippable : ``Layer.savings`` of all ops together, by how the zeros lie that folding has left.
    """

    model: str
    target: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: tuple[Layer, ...]
    skippable: Mapping[str, Saving]


def inspect(model: Model, target: str, formats: Mapping[str, str]) -> Inspection:
    """Describe a model that ``passes.pipeline`` has grouped. formats : see ``Layer.format``, by the op's value."""
    sums, ops = asdict(summary(model)), tuple(layers(model, formats))
    return Inspection(
        **sums, model=model.source, target=target, inputs=model.inputs, outputs=model.outputs, ops=ops,
        skippable=total(ops),
    )  # fmt: skip

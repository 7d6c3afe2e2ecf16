"""A subgraph for an NPU: its TOSA graph, which this machine can run, and what Vela makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ...model import Model
from ...quant.subgraphs import subgraphs
from ...target import EthosU
from . import tosa, vela
from .execute import Executable
from .graph import Graph


class Part:
    """One subgraph of a partitioned model.

    Attributes
    ----------
    name  : of its function.
    graph : as TOSA has it.
    """

    def __init__(self, name: str, graph: Graph, accelerator: EthosU) -> None:
        self.name, self.graph = name, graph
        self._accelerator = accelerator

    @cached_property
    def compiled(self) -> vela.Compiled:
        """For the NPU. Raises what ``vela.compile`` does."""
        return vela.compile(self.graph.serialize(), self._accelerator, self.name)

    @cached_property
    def _executable(self) -> Executable:
        return Executable(self.graph)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The int8 outputs for int8 inputs, by the TOSA reference model."""
        return self._executable(inputs)


def parts(model: Model, accelerator: EthosU) -> dict[str, Part]:
    """The subgraphs of a partitioned model, by the name of their function."""
    found = subgraphs(model.mod)
    return {name: Part(name, tosa.build(model.mod, function), accelerator) for name, function in found.items()}

"""A subgraph for an NPU: its TOSA graph, which this machine can run, and what Vela makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ...model import Model
from ...quant.subgraphs import subgraphs
from ...runtime.simulated import Subgraph
from ...target import EthosU
from . import tosa, vela
from .execute import Executable
from .graph import Graph


class Part:
    """One subgraph of a partitioned model.

    Attributes
    ----------
    name        : of its function.
    graph       : as TOSA has it.
    accelerator : what Vela compiles it for.
    """

    def __init__(self, name: str, graph: Graph, accelerator: EthosU) -> None:
        self.name, self.graph, self.accelerator = name, graph, accelerator

    @cached_property
    def compiled(self) -> vela.Compiled:
        """For the NPU. Raises what ``vela.compile`` does."""
        return vela.compile(self.graph.serialize(), self.accelerator, self.name)

    @cached_property
    def executable(self) -> Executable:
        """For this machine."""
        return Executable(self.graph)

    def simulated(self) -> Subgraph:
        """What the TOSA reference model computes."""

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            return self.executable(inputs)

        inputs, outputs = (tuple(tensor.shape for tensor in some) for some in (self.graph.inputs, self.graph.outputs))
        return Subgraph(run, inputs, outputs)


def parts(model: Model, accelerator: EthosU) -> dict[str, Part]:
    """The subgraphs of a partitioned model, by the name of their function; in the order ``main`` calls them."""
    found = subgraphs(model.mod)
    return {name: Part(name, tosa.build(model.mod, function), accelerator) for name, function in found.items()}

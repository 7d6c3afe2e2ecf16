"""Accelerators that are a systolic array: regions as tiles, and the command stream that computes them."""

from __future__ import annotations

from ...errors import UnsupportedError
from ...model import Model
from ...quant.subgraphs import Op, subgraphs
from ...runtime.systolic import Program
from ...target import Systolic
from . import read
from .emit import emit
from .graph import Graph, Reshape, Step, Tensor, Transpose
from .support import refuse

__all__ = ["Graph", "Reshape", "Step", "Tensor", "Transpose", "compile", "emit", "refuse", "supports"]


def supports(op: Op, machine: Systolic) -> str | None:
    """Why the accelerator does not take an op; None where it does (see ``passes.partition``)."""
    step = read.step(op)
    return step if isinstance(step, str) else refuse(step, machine)


def compile(model: Model, machine: Systolic) -> dict[str, Program]:
    """The command stream of every subgraph of a partitioned model, by its name."""
    try:
        return {str(name): emit(read.graph(model.mod, f), machine) for name, f in subgraphs(model.mod).items()}
    except UnsupportedError as error:
        raise UnsupportedError(error.reason, file=model.source, node=error.node) from None

"""How a model is written for a microcontroller."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Emit = Literal["object", "c", "tosa-mlir"]
"""How kernels are written: compiled by LLVM, or as portable C; and whether an Ethos-U's subgraphs are, as MLIR text."""

IoMemory = Literal["caller", "workspace"]
"""Where a model's inputs and outputs are: in memory of the caller's, or in the workspace."""


@dataclass(frozen=True)
class Embedded:
    """What can be chosen.

    Attributes
    ----------
    emit             : "object" for kernels compiled by LLVM, "c" for portable C; "tosa-mlir" for the former, and
                       ``<subgraph>.mlir`` in the TOSA dialect for each subgraph of an Ethos-U.
    io_memory        : who has the memory of inputs and outputs.
    compress_weights : store weights without their zeros where that saves flash; they are unpacked tile by tile.
    """

    emit: Emit = "object"
    io_memory: IoMemory = "caller"
    compress_weights: bool = False

    @property
    def chosen(self) -> list[str]:
        """The names of what is not as by default."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


DEFAULT = Embedded()

"""Run a model whose accelerators are systolic arrays, which are simulated from the command streams in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ...abi import check_seal
from ...errors import ArtifactError
from .. import simulated
from ..library import Library
from .array import execute
from .commands import Program
from .timing import Cost, costs

# Between the ELF file and its seal: name and machine form of every subgraph, in the order of their numbers.
_MARK = b"tvmopt-systolic:"


def attach(library: bytes, programs: Mapping[str, Program]) -> bytes:
    """Add command streams to a shared library; loaders of shared libraries ignore what follows the last section."""
    return library + _MARK + msgspec.msgpack.encode([(name, one.encode()) for name, one in programs.items()])


class Simulated(simulated.Simulated):
    """A compiled model, loaded, whose accelerators are simulated. Threads may share one.

    Attributes
    ----------
    programs : command stream of every subgraph, by its name.

    Raises ArtifactError for a file whose command streams are of another version.
    """

    def __init__(self, library: Library, path: Path) -> None:
        data = check_seal(path).rpartition(_MARK)[2]
        try:
            streams = msgspec.msgpack.decode(data, type=list[tuple[str, bytes]])
            self.programs = {name: Program.decode(stream) for name, stream in streams}
        except ArtifactError as error:
            raise ArtifactError(error.reason, file=path) from None
        super().__init__(library, [_subgraph(program) for program in self.programs.values()])

    def costs(self) -> dict[str, list[Cost]]:
        """Cost of every layer of every subgraph, by its name."""
        return {name: costs(program) for name, program in self.programs.items()}


def _subgraph(program: Program) -> simulated.Subgraph:
    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        given = {buffer.name: array for buffer, array in zip(program.inputs, inputs, strict=True)}
        results = execute(program, given)
        return [results[buffer.name] for buffer in program.outputs]

    shapes = (tuple(tuple(buffer.shape) for buffer in buffers) for buffers in (program.inputs, program.outputs))
    return simulated.Subgraph(run, *shapes)

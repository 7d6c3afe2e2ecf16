"""Run a model whose library calls accelerators: those are simulated."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...abi import check_seal
from ...errors import ArtifactError
from ..library import Library
from .array import execute
from .commands import Program
from .timing import Cost, costs

# Between the ELF file and its seal: name and machine form of every subgraph, in the order of their numbers.
_MARK = b"tvmopt-systolic:"

_Addresses = ctypes.POINTER(ctypes.c_void_p)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint32, _Addresses, _Addresses)

# A library that is loaded twice is one to the system, so what it calls has to outlive every engine.
_callbacks: list[Any] = []


def attach(library: bytes, programs: Mapping[str, Program]) -> bytes:
    """Add command streams to a shared library; loaders of shared libraries ignore what follows the last section."""
    return library + _MARK + msgspec.msgpack.encode([(name, one.encode()) for name, one in programs.items()])


class Simulated:
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
        self.manifest, self.inputs, self.outputs = library.manifest, library.inputs, library.outputs
        self._library = library
        self._in_order = list(self.programs.values())
        self._thread = threading.local()
        callback = _Callback(self._simulate)
        _callbacks.append(callback)
        library.pointer("tvmopt_model_accelerator").value = ctypes.cast(callback, ctypes.c_void_p).value

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs; they are new arrays. Raises what ``Library.run`` does."""
        self._thread.failed = None
        try:
            return self._library.run(inputs)
        except ArtifactError as error:
            raise self._thread.failed or error from None

    def costs(self) -> dict[str, list[Cost]]:
        """Cost of every layer of every subgraph, by its name."""
        return {name: costs(program) for name, program in self.programs.items()}

    def _simulate(self, subgraph: int, inputs: Any, outputs: Any) -> int:
        """What the library calls. An exception cannot pass through it: ``run`` raises it."""
        try:
            program = self._in_order[subgraph]
            given = {buffer.name: _at(inputs[i], buffer.shape) for i, buffer in enumerate(program.inputs)}
            results = execute(program, given)
            for i, buffer in enumerate(program.outputs):
                _at(outputs[i], buffer.shape)[...] = results[buffer.name]
        except Exception as error:
            self._thread.failed = error
            return 1
        return 0


def _at(address: int, shape: tuple[int, ...]) -> np.ndarray:
    """The int8 array at an address."""
    return np.ctypeslib.as_array((ctypes.c_int8 * int(np.prod(shape))).from_address(address)).reshape(shape)

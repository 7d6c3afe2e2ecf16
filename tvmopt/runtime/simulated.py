"""Run a model whose library calls accelerators: those are functions of Python, on this machine."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArtifactError
from .library import Library

_Addresses = ctypes.POINTER(ctypes.c_void_p)
_INT8 = np.dtype(np.int8)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint32, _Addresses, _Addresses)

# A library that is loaded twice is one to the system, so what it calls has to outlive every engine.
_callbacks: list[Any] = []


@dataclass(frozen=True)
class Subgraph:
    """What an accelerator computes: arrays as ``quant.subgraphs`` has them, of these shapes, from int8 arrays."""

    run: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


class Simulated:
    """A compiled model, loaded, whose accelerators are simulated. Threads may share one.

    Attributes
    ----------
    manifest : what the artifact tells of itself.
    inputs, outputs : specs, in order.
    """

    def __init__(self, library: Library, subgraphs: Sequence[Subgraph]) -> None:
        """subgraphs : in the order in which the library first calls them."""
        self.manifest, self.inputs, self.outputs = library.manifest, library.inputs, library.outputs
        self._library = library
        self._subgraphs = list(subgraphs)
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

    def _simulate(self, number: int, inputs: Any, outputs: Any) -> int:
        """What the library calls. An exception cannot pass through it: ``run`` raises it."""
        try:
            subgraph = self._subgraphs[number]
            results = subgraph.run([_at(inputs[i], shape) for i, shape in enumerate(subgraph.inputs)])
            for i, (shape, result) in enumerate(zip(subgraph.outputs, results, strict=True)):
                _at(outputs[i], shape, result.dtype)[...] = result
        except Exception as error:
            self._thread.failed = error
            return 1
        return 0


def _at(address: int, shape: tuple[int, ...], dtype: np.dtype = _INT8) -> np.ndarray:
    """The array at an address."""
    memory = (ctypes.c_int8 * (int(np.prod(shape)) * dtype.itemsize)).from_address(address)
    return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

"""Run a model that is a shared library. Needs numpy, and nothing of the compiler."""

from __future__ import annotations

import ctypes
import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..abi import ABI, check_seal
from ..errors import ArtifactError, InputError
from ..model import TensorSpec

LINE = 64
"""Bytes of a cache line."""


class _Tensor(ctypes.Structure):
    """``tvmopt_tensor``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("rank", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    )

    def spec(self) -> TensorSpec:
        quantized = self.scale != 0
        return TensorSpec(
            self.name.decode(),
            tuple(self.shape[: self.rank]),
            self.dtype.decode(),
            float(np.float32(self.scale)) if quantized else None,
            self.zero_point if quantized else None,
        )


class _Model(ctypes.Structure):
    """``tvmopt_model``."""

    _fields_ = (
        ("abi", ctypes.c_uint32),
        ("workspace_alignment", ctypes.c_uint32),
        ("workspace_bytes", ctypes.c_uint64),
        ("inputs_count", ctypes.c_uint64),
        ("outputs_count", ctypes.c_uint64),
        ("inputs", ctypes.POINTER(_Tensor)),
        ("outputs", ctypes.POINTER(_Tensor)),
        ("manifest", ctypes.c_char_p),
    )


def _load(path: Path) -> ctypes.CDLL:
    """Load the file that is there now: by a name that is new, since dlopen would give the file that it has already
    loaded by a known one, even where another has replaced it.
    """
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        link = Path(folder) / "model.so"
        link.symlink_to(path.resolve())
        return ctypes.CDLL(str(link))


def _machine(elf: bytes) -> bytes:
    """What kind of machine an ELF file is for: class and byte order, and ``e_machine``."""
    return elf[4:6] + elf[18:20]


def aligned(alignment: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new array, not filled, that begins at a multiple of ``alignment`` bytes: numpy's begin at multiples of 16."""
    size = prod(shape) * dtype.itemsize
    memory = np.empty(size + alignment, np.uint8)
    begin = -memory.__array_interface__["data"][0] % alignment
    return memory[begin : begin + size].view(dtype).reshape(shape)


class Library:
    """A compiled model, loaded. Threads may share one: each uses a workspace of its own.

    Attributes
    ----------
    inputs          : specs, in the order of the model.
    outputs         : likewise.
    manifest        : what the library tells of itself.
    workspace_bytes : memory that one call needs besides inputs and outputs.

    Raises ArtifactError for a file that is damaged, of another version, or not for this machine.
    """

    def __init__(self, path: Path) -> None:
        with Path("/proc/self/exe").open("rb") as program:
            here = _machine(program.read(20))
        if _machine(check_seal(path)) != here:
            raise ArtifactError("was compiled for another kind of processor than this machine's", file=path)
        try:
            library = _load(path)
            library.tvmopt_model_describe.restype = ctypes.POINTER(_Model)
            model = library.tvmopt_model_describe().contents
        except (OSError, AttributeError) as error:
            raise ArtifactError(f"cannot be loaded on this machine: {error}", file=path) from None
        if model.abi != ABI:
            raise ArtifactError(f"was compiled for ABI {model.abi}, this tvmopt has ABI {ABI}", file=path)
        self.manifest: dict[str, Any] = json.loads(model.manifest)
        if library.tvmopt_model_check():
            raise ArtifactError(f"this CPU cannot run code for {self.manifest.get('target')}", file=path)
        self.inputs = tuple(model.inputs[i].spec() for i in range(model.inputs_count))
        self.outputs = tuple(model.outputs[i].spec() for i in range(model.outputs_count))
        self.workspace_bytes = int(model.workspace_bytes)
        self._alignment = int(model.workspace_alignment)
        self._library = library
        self._run = library.tvmopt_model_run
        self._run.argtypes = [ctypes.c_void_p] * 3
        self._wanted = tuple((spec.name, np.dtype(spec.dtype), spec.shape) for spec in self.inputs)
        self._given = tuple((spec.name, np.dtype(spec.dtype), spec.shape) for spec in self.outputs)
        self._thread = threading.local()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs. Contiguous inputs are read where they are; the outputs are new arrays.

        Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype; ArtifactError where parts of
        the model are an accelerator's, and there is none.
        """
        call = self._thread
        if not hasattr(call, "workspace"):
            self._prepare(call)
        results, _kept = self._fill(call, inputs)
        self._invoke(call)
        return results

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        """A function that computes the outputs of what ``inputs`` hold when it is called, into the same arrays every
        time, which begin at cache lines. It has a workspace of its own, and is not for several threads at once. Inputs
        that are not contiguous are copied once, now. Raises what ``run`` raises.
        """
        call = SimpleNamespace()
        self._prepare(call)
        results, kept = self._fill(call, inputs, partial(aligned, LINE))

        call.kept = kept
        addresses = ctypes.addressof(call.inputs), ctypes.addressof(call.outputs), call.workspace
        given, wanted, workspace = map(ctypes.c_void_p, addresses)  # converted once: half of what a call costs

        def run() -> dict[str, np.ndarray]:
            if self._run(given, wanted, workspace):
                raise self._failure()
            return results

        run.kept = call  # type: ignore[attr-defined]  # what the addresses are of
        return run

    def _fill(
        self, call: Any, inputs: Mapping[str, np.ndarray], new: Callable[..., np.ndarray] = np.empty
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """Write the addresses of a call's inputs and of new outputs; the outputs, and the arrays that are read.

        new : makes an array of a shape and dtype.
        """
        if len(inputs) != len(self._wanted):
            self._check_names(inputs)
        kept = []
        for i, (name, dtype, shape) in enumerate(self._wanted):
            array = inputs.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype or array.shape != shape:
                array = self._check(name, dtype, shape, inputs)
            if not array.flags.c_contiguous:
                array = np.ascontiguousarray(array)
            kept.append(array)
            call.inputs[i] = array.__array_interface__["data"][0]
        results = {}
        for i, (name, dtype, shape) in enumerate(self._given):
            results[name] = array = new(shape, dtype)
            call.outputs[i] = array.__array_interface__["data"][0]
        return results, kept

    def _invoke(self, call: Any) -> None:
        if self._run(call.inputs, call.outputs, call.workspace):
            raise self._failure()

    def _failure(self) -> ArtifactError:
        return ArtifactError(f"the accelerator of {self.manifest['target']} failed, or there is none")

    def pointer(self, name: str) -> ctypes.c_void_p:
        """A variable of the library that holds an address."""
        return ctypes.c_void_p.in_dll(self._library, name)

    def _prepare(self, call: Any) -> None:
        """Give ``call`` a workspace and the two arrays of addresses."""
        call.memory = aligned(self._alignment, (max(1, self.workspace_bytes),), np.dtype(np.uint8))  # an address anyway
        call.workspace = call.memory.__array_interface__["data"][0]
        call.inputs = (ctypes.c_void_p * len(self._wanted))()
        call.outputs = (ctypes.c_void_p * len(self._given))()

    def _check_names(self, inputs: Mapping[str, np.ndarray]) -> None:
        unknown = inputs.keys() - {name for name, _, _ in self._wanted}
        if unknown:
            known = ", ".join(name for name, _, _ in self._wanted)
            raise InputError("is not an input of this model", node=min(unknown), hint=f"inputs: {known}")

    def _check(self, name: str, dtype: np.dtype, shape: tuple[Any, ...], inputs: Mapping[str, Any]) -> np.ndarray:
        if name not in inputs:
            self._check_names(inputs)
            raise InputError("no value was given for this input", node=name)
        array = np.asarray(inputs[name])
        if array.dtype != dtype:
            raise InputError(f"has dtype {array.dtype}, not {dtype}", node=name)
        if array.shape != shape:
            raise InputError(f"has shape {list(array.shape)}, not {list(shape)}", node=name)
        return array

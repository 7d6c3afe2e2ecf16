"""Run a model that was compiled for another machine, in a program under an emulator."""

from __future__ import annotations

import math
import shutil
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArtifactError, DependencyError
from ..model import TensorSpec
from .inputs import checked


class Emulated:
    """A program that reads the inputs of one call after the other and writes the outputs (``templates/runner.c``).

    It starts with the first call and ends with the object. Calls from several threads run one after the other.

    Attributes
    ----------
    manifest : what the artifact tells of itself.
    inputs   : specs, in the order the program reads them.
    outputs  : likewise.
    """

    def __init__(
        self,
        command: Sequence[str],
        manifest: dict[str, Any],
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        """command : the emulator and its arguments, the program and its own."""
        if shutil.which(command[0]) is None:
            raise DependencyError(
                f"running code for {manifest['target']} on this machine needs {command[0]}",
                hint="install your system's package qemu-user or qemu-system-arm",
            )
        self.manifest = manifest
        self.inputs = inputs
        self.outputs = outputs
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs; they are new arrays.

        Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype; ArtifactError where the
        program ends, as it does on a CPU that it was not compiled for.
        """
        arrays = checked(inputs, self.inputs)
        with self._lock:
            if self._process is None:
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe)
                weakref.finalize(self, _end, self._process)
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            results = {}
            try:
                stdin.write(b"".join(array.tobytes() for array in arrays))
                stdin.flush()
                for spec in self.outputs:
                    shape = tuple(map(int, spec.shape))
                    size = math.prod(shape) * np.dtype(spec.dtype).itemsize
                    data = bytearray(stdout.read(size))
                    if len(data) != size:
                        raise BrokenPipeError
                    results[spec.name] = np.frombuffer(data, spec.dtype).reshape(shape)
            except BrokenPipeError:
                raise self._ended() from None
            return results

    def close(self) -> str:
        """End the program, after the call it is in; returns what it says at its end (see ``templates/``)."""
        with self._lock:
            assert self._process is not None
            _, said = self._process.communicate()
            self._process = None
            return said.decode().strip()

    def _ended(self) -> ArtifactError:
        assert self._process is not None
        _, errors = self._process.communicate()
        status, self._process = self._process.returncode, None
        if status == 3:
            return ArtifactError(f"this CPU cannot run code for {self.manifest['target']}")
        says = errors.decode(errors="replace").strip()
        return ArtifactError(f"{self._command[0]} ended with status {status}{says and ': ' + says}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()

"""Run a model that is an executable of TVM's virtual machine. Needs TVM."""

from __future__ import annotations

import ctypes
import json
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..abi import check_seal
from ..errors import ArtifactError
from ..model import TensorSpec
from .inputs import checked

# Between the ELF file and its seal: the manifest, as JSON.
_MARK = b"tvmopt-vm-manifest:"


def attach(library: bytes, manifest: dict[str, Any]) -> bytes:
    """Add the manifest to a shared library; loaders of shared libraries ignore what follows the last section."""
    return library + _MARK + json.dumps(manifest).encode()


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of an executable, without loading its code; None for a sealed file of another kind.

    Raises ArtifactError for a file that is damaged, or was not written by tvmopt.
    """
    _, mark, manifest = check_seal(path).rpartition(_MARK)
    return json.loads(manifest) if mark else None


class Executable:
    """A compiled model, loaded. Calls from several threads run one after the other.

    Raises ArtifactError for a file that is damaged, of another version of TVM, or not for this machine.
    """

    def __init__(self, path: Path) -> None:
        manifest = read_manifest(path)
        assert manifest is not None
        self.manifest = manifest
        self.inputs, self.outputs = (
            tuple(TensorSpec(**(spec | {"shape": tuple(spec["shape"])})) for spec in manifest[key])
            for key in ("inputs", "outputs")
        )
        self._main = self._load(path)
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs; they are new arrays.

        Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype.
        """
        import tvm

        with self._lock:
            tensors = self._call([tvm.runtime.tensor(array) for array in checked(inputs, self.inputs)])
            return {spec.name: tensor.numpy() for spec, tensor in zip(self.outputs, tensors, strict=True)}

    def _call(self, tensors: list[Any]) -> list[Any]:
        """The outputs for inputs that lie where the code runs."""
        result = self._main(*tensors)
        return [result] if len(self.outputs) == 1 and hasattr(result, "numpy") else list(result)

    def _load(self, path: Path) -> Any:
        """The function ``main``."""
        import tvm

        if self.manifest["threads"] > 1:
            tvm.get_global_func("runtime.config_threadpool")(1, self.manifest["threads"])
        return load(path, self.manifest, tvm.cpu())


def load(path: Path, manifest: dict[str, Any], device: Any) -> Any:
    """The function ``main`` of an executable, for a device of TVM."""
    import tvm
    import tvm_ffi
    from tvm.runtime.vm import VirtualMachine

    written = manifest["versions"]["apache-tvm"]
    if tvm.__version__ != written:
        raise ArtifactError(f"was compiled by TVM {written}, this is {tvm.__version__}", file=path)
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        link = (
            Path(folder) / "model.so"
        )  # TVM goes by the suffix; and a name that is new loads the file that is there now
        link.symlink_to(path.resolve())
        try:
            refused = ctypes.CDLL(str(link)).tvmopt_model_check()
        except (OSError, AttributeError) as error:
            raise ArtifactError(f"cannot be loaded on this machine: {error}", file=path) from None
        if refused:
            raise ArtifactError(f"this CPU cannot run code for {manifest['target']}", file=path)
        return VirtualMachine(tvm_ffi.load_module(link), device)["main"]

"""Run a model on an NVIDIA GPU. Needs TVM, and the GPU's driver."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import driver
from ..abi import check_seal
from ..driver import Driver
from ..errors import ArtifactError, DependencyError, DeviceError
from . import vm
from .inputs import checked

# Of DLPack and the Python array API: a device of CUDA, and what ``__dlpack__`` is given for the legacy default stream,
# so that it comes after what other streams have still to do with the array.
_CUDA, _DEFAULT_STREAM = 2, 1

PLACE = "tvmopt.device"
"""What a file has where TVM puts CUDA C++, and asks Python to compile it when the file is loaded."""


def pack(offset: int, images: Mapping[str, bytes]) -> tuple[list[dict[str, Any]], bytes]:
    """Device code as it lies in a file from ``offset`` on, and where each image is: format, offset, size."""
    table, data = [], b""
    for name, image in images.items():
        table.append({"format": name, "offset": offset + len(data), "size": len(image)})
        data += image
    return table, data


def image(path: Path, manifest: dict[str, Any], found: Driver) -> bytes:
    """The device code in a file that a driver and its GPU can run: cubin within an architecture, PTX for later ones.

    Raises ArtifactError for a GPU that is older than the code or has too little shared memory, DeviceError for a driver
    that is older.
    """
    facts = manifest["cuda"]
    arch = int(facts["arch"].removeprefix("sm_"))
    if found.capability < arch:
        raise ArtifactError(f"was compiled for {facts['arch']}, this GPU is the older sm_{found.capability}", file=path)
    shared = max((kernel["shared"] for kernel in facts["kernels"].values()), default=0)
    if found.shared < shared:
        raise ArtifactError(
            f"was compiled for {facts['arch']}, with {shared} bytes of shared memory for a block of threads; "
            f"this GPU, an sm_{found.capability}, has {found.shared}",
            file=path,
            hint="compile it for cuda/host",
        )
    native = found.capability // 10 == arch // 10
    # Machine code runs under any driver of the same major version; PTX is in the language of the exact one.
    needed = (facts["toolkit"][0], 0) if native else tuple(facts["toolkit"])
    if found.version < needed:
        raise DeviceError(
            f"the NVIDIA driver supports CUDA {_dotted(found.version)}, older than the {_dotted(needed)} this needs",
            file=path,
            hint="update the driver",
        )
    wanted = next(one for one in facts["images"] if one["format"] == ("cubin" if native else "ptx"))
    return check_seal(path)[wanted["offset"] :][: wanted["size"]]


class Executable(vm.Executable):
    """A compiled model on the first GPU. Calls from several threads run one after the other.

    Raises
    ------
    ArtifactError   : the file is damaged, of another version of TVM, or for a newer GPU.
    DeviceError     : there is no GPU, its driver is too old, or its memory is full.
    DependencyError : TVM's CUDA runtime is not there.
    """

    def _load(self, path: Path) -> Any:
        device = image(path, self.manifest, driver.find())
        tvm = _runtime()
        with _memory(path), _compiled(device):
            return vm.load(path, self.manifest, tvm.cuda(0))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Compute the outputs; they are new arrays.

        Arrays on the GPU (of torch, cupy, or any other that knows DLPack) are read where they are, after what their
        owner's streams have still to do; if all inputs are such, the outputs are on the GPU, too, and may still be in
        the making on its default stream when this returns.

        Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype, and for an array on another GPU
        or whose elements do not lie one after the other from a multiple of 64 bytes on; DeviceError where the GPU's
        memory is full.
        """
        import tvm

        with self._lock, _memory(self.manifest["source"]):
            arrays = checked(inputs, self.inputs, _readable)
            given = [isinstance(array, tvm.runtime.Tensor) for array in arrays]
            tensors = [
                x if on_gpu else tvm.runtime.tensor(x, tvm.cuda(0)) for x, on_gpu in zip(arrays, given, strict=True)
            ]
            outputs = self._call(tensors)
            here = given and all(given)
            return {s.name: y if here else y.numpy() for s, y in zip(self.outputs, outputs, strict=True)}

    def synchronize(self) -> None:
        """Wait until the GPU has computed everything."""
        import tvm

        tvm.cuda(0).sync()

    def upload(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Copies of the inputs on the GPU."""
        import tvm

        arrays = checked(inputs, self.inputs)
        return {s.name: tvm.runtime.tensor(array, tvm.cuda(0)) for s, array in zip(self.inputs, arrays, strict=True)}


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _readable(value: Any) -> Any:
    """An array on the GPU as TVM's, another one as numpy's. Raises ValueError for one that cannot be read in place."""
    import tvm

    kind, number = value.__dlpack_device__() if hasattr(value, "__dlpack_device__") else (0, 0)
    if kind != _CUDA:
        return np.asarray(value)
    if number:
        raise ValueError(f"lies on GPU {number}, the model on GPU 0")
    if isinstance(value, tvm.runtime.Tensor):
        return value
    try:
        return tvm.runtime.from_dlpack(value.__dlpack__(stream=_DEFAULT_STREAM))
    except (BufferError, RuntimeError) as error:
        raise ValueError(f"cannot be read where it is: {error}") from None


def _runtime() -> Any:
    """TVM with its CUDA runtime. Raises DependencyError where that cannot be loaded."""
    import tvm
    from tvm.libinfo import find_libtvm_runtime

    if tvm.get_global_func("ffi.Module.load_from_bytes.cuda", allow_missing=True) is None:
        try:
            for library in _cudart():
                ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
            ctypes.CDLL(str(Path(find_libtvm_runtime()).with_name("libtvm_runtime_cuda.so")), ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise DependencyError(
                f"TVM's CUDA runtime cannot be loaded: {error}", hint="pip install 'tvmopt[cuda]'"
            ) from None
    return tvm


def _cudart() -> list[Path]:
    """CUDA's runtime library where it came as a wheel."""
    found = importlib.util.find_spec("nvidia")
    roots = [] if found is None or found.submodule_search_locations is None else found.submodule_search_locations
    return [path for root in roots for path in Path(root).glob("cu*/lib/libcudart.so.*")]


@contextmanager
def _compiled(device: bytes) -> Iterator[None]:
    """Gives TVM ``device`` where it asks for the CUDA C++ in a file to be compiled."""
    import tvm_ffi
    from tvm.support import nvcc

    def take(source: str) -> bytes:
        assert source == PLACE
        return device

    tvm_ffi.register_global_func("tvm_callback_cuda_compile", take, override=True)
    try:
        yield
    finally:
        tvm_ffi.register_global_func("tvm_callback_cuda_compile", nvcc.tvm_callback_cuda_compile, override=True)


@contextmanager
def _memory(file: Any) -> Iterator[None]:
    """Turns what TVM raises for full memory into our error."""
    try:
        yield
    except Exception as error:
        if "out of memory" in str(error).lower() or "OUT_OF_MEMORY" in str(error):
            raise DeviceError("the GPU has too little free memory", file=file) from None
        raise

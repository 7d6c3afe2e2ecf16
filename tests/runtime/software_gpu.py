"""A GPU in software: TVM's CUDA runtime runs on ``gpu.c``, which hands every launch to the interpreter of kernels.

To be run as a program, since what is loaded stays: python -m tests.runtime.software_gpu FOLDER MODEL, with the two
libraries of ``gpu.c`` in the folder, prints what happened as JSON.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tvm import tirx
from tvm_ffi import structural_walk

from benchmarks import sparsity
from tests.schedules.gpu import Kernel, _dtype
from tests.schedules.memory import Memory
from tvmopt import api, demo, runtime
from tvmopt.backends import cuda as backend
from tvmopt.errors import InputError
from tvmopt.runtime import Artifact, cuda

SHARED = 163 * 1024
COUNTS = ("modules", "launches", "captures", "replays", "refused")


def build(folder: Path) -> None:
    """Make ``libcudart.so.13`` and ``libcuda.so.1`` in a folder."""
    source = Path(__file__).with_name("gpu.c")
    (folder / "versions").write_text("libcudart.so.13 { global: *; };")
    runtime = ["-Wl,-soname,libcudart.so.13", "-Wl,--version-script=versions", "-o", "libcudart.so.13", str(source)]
    driver = ["-Wl,-soname,libcuda.so.1", "-Wl,--no-as-needed", "-o", "libcuda.so.1", "-L.", "-l:libcudart.so.13"]
    for options in (runtime, driver):
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", *options], cwd=folder, check=True)


@contextmanager
def noted() -> Iterator[dict[str, tirx.PrimFunc]]:
    """The kernels of what is built meanwhile, by name."""
    kernels: dict[str, tirx.PrimFunc] = {}
    dynamic = backend._dynamic  # which sees every kernel before it has a launch

    def note(func: tirx.PrimFunc) -> int:
        if "tirx.kernel_launch_params" in func.attrs:
            kernels[str(func.attrs["global_symbol"])] = func
        return dynamic(func)

    with mock.patch.object(backend, "_dynamic", note):
        yield kernels


class Gpu:
    """What runs kernels. NVRTC must not find its driver, so they are compiled before."""

    def __init__(self, folder: Path, kernels: dict[str, tirx.PrimFunc]) -> None:
        self.library = ctypes.CDLL(str(folder / "libcudart.so.13"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libcuda.so.1"), ctypes.RTLD_GLOBAL)
        self.library.gpu_room.argtypes, self.library.gpu_room.restype = [ctypes.c_uint64], ctypes.c_size_t
        kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint64))
        self.callback = kind(self.launch)
        self.library.gpu_begin(SHARED, self.callback)
        self.kernels = kernels
        for name, func in kernels.items():
            self.library.gpu_define(name.encode(), len(func.params))
        self.failed: list[str] = []

    def launch(self, name: bytes, shared: int, params: Any) -> None:
        """Run a kernel on the memory that its parameters point to."""
        try:
            func = self.kernels[name.decode()]
            sizes = _sizes(func)
            memories = []
            for i, param in enumerate(func.params):
                dtype, count = sizes[param]
                assert self.library.gpu_room(params[i]) >= count * dtype.itemsize, f"{param.name} has too little room"
                assert params[i] % 64 == 0, f"{param.name} is at an odd address"
                data = np.ctypeslib.as_array((ctypes.c_uint8 * (count * dtype.itemsize)).from_address(params[i]))
                memory = Memory(param.name, "global", data.view(dtype)[None])
                memory.known[:] = True
                memories.append(memory)
            grid = Kernel(func, memories, SHARED).grid
            assert grid.shared == shared, f"{shared} bytes of shared memory for {grid.shared}"
        except Exception as error:  # which no caller would see
            self.failed.append(f"{name.decode()}: {type(error).__name__}: {error}")

    @property
    def counts(self) -> dict[str, int]:
        """How often what happened."""
        return dict(zip(COUNTS, (ctypes.c_int * len(COUNTS)).in_dll(self.library, "gpu_counts"), strict=True))


def _sizes(func: tirx.PrimFunc) -> dict[Any, tuple[np.dtype, int]]:
    """Dtype and elements of the buffers that a kernel's parameters are."""
    found = {}

    def note(stmt: tirx.DeclBuffer) -> None:
        found[stmt.data] = _dtype(stmt.buffer.dtype), int(np.prod([int(extent) for extent in stmt.buffer.shape]))

    structural_walk(func.body, (tirx.DeclBuffer, note))
    return found


class Elsewhere:
    """An array of another library on the GPU, which lets the reader's stream wait for its own."""

    def __init__(self, tensor: Any, device: int = 0) -> None:
        self.tensor, self.device = tensor, device
        self.asked: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        self.asked.append(stream)
        return self.tensor.__dlpack__()


def refusal(artifact: Artifact, feeds: dict[str, Any]) -> str:
    """What a call with arrays that it cannot read says."""
    try:
        artifact.run(feeds)
    except InputError as error:
        return str(error)
    return "nothing"


def demo_model(gpu: Gpu, artifact: Artifact) -> dict[str, Any]:
    """Called several times, with arrays of the host's and with some on the GPU."""
    host = api.compile(demo.INT8_MODEL)
    (name,) = (spec.name for spec in artifact.inputs)
    before = gpu.counts
    differences, arrays = [], []
    for seed in (0, 1, 0, 2):
        x = np.random.default_rng(seed).random(artifact.inputs[0].shape, np.float32)
        arrays.append(x)
        (expected,), (got,) = host.run({name: x}).values(), artifact.run({name: x}).values()
        differences.append(float(np.abs(got - expected).max()))
    counts = {key: count - before[key] for key, count in gpu.counts.items()}
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    on_gpu = engine.upload({name: arrays[1]})[name]
    other = Elsewhere(on_gpu)
    outputs = [artifact.run({name: value}) for value in (on_gpu, other)]
    engine.synchronize()
    (expected,) = artifact.run({name: arrays[1]}).values()
    left = [out for given in outputs for out in given.values()]
    return {
        "differences": differences,
        "counts": counts,
        "stays": [list(map(int, out.__dlpack_device__())) for out in left],
        "same": [bool((out.numpy() == expected).all()) for out in left],
        "asked": other.asked,
        "another gpu": refusal(artifact, {name: Elsewhere(on_gpu, 1)}),
        "turned": refusal(artifact, {name: Elsewhere(np.asfortranarray(arrays[0]))}),
    }


def product(gpu: Gpu, artifact: Artifact) -> dict[str, Any]:
    """A split reduction, whose kernels share a workspace, and more shared memory than a block has unasked."""
    x = np.random.default_rng(3).integers(0, 256, artifact.inputs[0].shape, np.uint8)
    (expected,) = sparsity.compile_layer(SPLIT, ROWS, "x86/avx2").run({"x": x}).values()
    runs = [next(iter(artifact.run({"x": x}).values())) for _ in range(2)]
    kernels = artifact.manifest["cuda"]["kernels"].values()
    return {
        "wrong": [int((got != expected).sum()) for got in runs],
        "kernels": len(kernels),
        "shared": max(usage["shared"] for usage in kernels),
    }


SPLIT, ROWS = sparsity.region(2048, 512, 1, "unstructured", 0), (48, 2048)
MODELS: dict[str, tuple[Callable[[], Artifact], Callable[[Gpu, Artifact], dict[str, Any]]]] = {
    "demo": (lambda: api.compile(demo.INT8_MODEL, "cuda/sm_80"), demo_model),
    "product": (lambda: sparsity.compile_layer(SPLIT, ROWS, "cuda/sm_80"), product),
}


def main(folder: Path, name: str) -> dict[str, Any]:
    """What happened."""
    compiled, called = MODELS[name]
    with noted() as kernels:
        compiled().save(folder / "model.so")
    gpu = Gpu(folder, kernels)
    return called(gpu, runtime.open(folder / "model.so")) | {"failed": gpu.failed, "refused": gpu.counts["refused"]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))

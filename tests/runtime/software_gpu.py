"""A GPU in software: TVM's CUDA runtime runs on ``gpu.c``, and every launch as TIR or as CUDA C++ on the CPU.

A plugin of pytest, with which tests/gpu runs anywhere: pytest -p tests.runtime.software_gpu tests/gpu. In a process of
its own, since what is loaded stays. NVRTC, which would find this driver, is left out: kernels run as TIR, where races
are seen; or, with --cuda-source, as CUDA C++ compiled for the CPU, which is the text that NVRTC gets.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tvm import tirx
from tvm_ffi import structural_walk

from tests.schedules.gpu import Kernel, _dtype
from tests.schedules.memory import Memory
from tvmopt.backends import cuda as backend
from tvmopt.backends.cuda import compiler

from . import cuda_on_cpu

SHARED = 163 * 1024
COUNTS = ("modules", "launches", "captures", "replays", "refused")
KERNEL = re.compile(r"__launch_bounds__\(\d+\) (\w+)\(")


def build(folder: Path) -> None:
    """Make ``libcudart.so.13`` and ``libcuda.so.1`` in a folder."""
    source = Path(__file__).with_name("gpu.c")
    (folder / "versions").write_text("libcudart.so.13 { global: *; };")
    runtime = ["-Wl,-soname,libcudart.so.13", "-Wl,--version-script=versions", "-o", "libcudart.so.13", str(source)]
    driver = ["-Wl,-soname,libcuda.so.1", "-Wl,--no-as-needed", "-o", "libcuda.so.1", "-L.", "-l:libcudart.so.13"]
    for options in (runtime, driver):
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", *options], cwd=folder, check=True)


class Gpu:
    """What runs the kernels of everything that is built from now on."""

    def __init__(self, folder: Path, from_source: bool) -> None:
        build(folder)
        self.folder, self.from_source, self.compiled = folder, from_source, itertools.count()
        self.launches: dict[str, cuda_on_cpu.Launch] = {}
        self.library = ctypes.CDLL(str(folder / "libcudart.so.13"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libcuda.so.1"), ctypes.RTLD_GLOBAL)
        self.library.gpu_room.argtypes, self.library.gpu_room.restype = [ctypes.c_uint64], ctypes.c_size_t
        kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint64))
        self.callback = kind(self.launch)
        self.library.gpu_begin(SHARED, self.callback)
        self.kernels: dict[str, tirx.PrimFunc] = {}
        self.failed: list[str] = []
        self.dynamic = backend._dynamic  # which sees every kernel before it has a launch
        backend._dynamic = self.note
        compiler.compile = self.compile

    def note(self, func: tirx.PrimFunc) -> int:
        """Keep a kernel, of which there may be several of one name: the last one built is run."""
        if "tirx.kernel_launch_params" in func.attrs:
            name = str(func.attrs["global_symbol"])
            self.kernels[name] = func
            self.library.gpu_define(name.encode(), len(func.params))
        return self.dynamic(func)

    def compile(self, source: str, arch: str) -> compiler.DeviceCode:
        """Something in the place of machine code."""
        if self.from_source:
            self.launches |= cuda_on_cpu.compile(source, self.folder, f"kernels{next(self.compiled)}")
        usage = {name: compiler.Usage(0, 0, 0) for name in KERNEL.findall(source)}
        return compiler.DeviceCode(arch, (13, 0), b"\x7fELF", b"//", usage)

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
            if self.from_source:
                self.launches[name.decode()](
                    *_extents(func), (ctypes.c_void_p * len(memories))(*params[: len(memories)])
                )
            else:
                Kernel(func, memories, SHARED)
            assert shared == self.dynamic(func), f"{shared} bytes of shared memory"
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


def _extents(func: tirx.PrimFunc) -> list[Any]:
    """Of a kernel's grid and of its blocks, as int[3]."""
    found: dict[str, int] = {}

    def note(attr: tirx.AttrStmt) -> None:
        if attr.attr_key == "thread_extent":
            found[str(attr.node.thread_tag)] = int(attr.value)

    structural_walk(func.body, (tirx.AttrStmt, note))
    return [(ctypes.c_int * 3)(*(found.get(f"{of}.{axis}", 1) for axis in "xyz")) for of in ("blockIdx", "threadIdx")]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How kernels run."""
    parser.addoption("--cuda-source", action="store_true", help="run CUDA C++, compiled for the CPU, instead of TIR")


def pytest_configure(config: pytest.Config) -> None:
    """Load it."""
    folder = tempfile.TemporaryDirectory(prefix="tvmopt-gpu-")
    config.add_cleanup(folder.cleanup)
    config.stash[_GPU] = Gpu(Path(folder.name), config.getoption("--cuda-source"))


@pytest.fixture(autouse=True)
def _nothing_that_a_gpu_would_refuse(pytestconfig: pytest.Config) -> Iterator[None]:
    gpu = pytestconfig.stash[_GPU]
    gpu.failed.clear()
    yield
    assert gpu.failed == []
    assert gpu.counts["refused"] == 0


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what happened."""
    terminalreporter.write_line(f"software GPU: {config.stash[_GPU].counts}")


_GPU = pytest.StashKey[Gpu]()

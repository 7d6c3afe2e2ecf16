"""CUDA C++ to machine code and PTX, without a GPU: by NVRTC from wheels, or by nvcc where there are none."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DependencyError, TvmoptError

# No contraction of products and sums: float operators give the same bits whatever the compiler makes of their loops.
_FLAGS = ["--std=c++17", "--fmad=false", "--disable-warnings"]
_VERBOSE = "--ptxas-options=-v"


@dataclass(frozen=True)
class Usage:
    """What one thread, or one block, of a kernel takes.

    Attributes
    ----------
    registers : 32-bit registers of a thread.
    spilled   : bytes that a thread stores to memory for lack of registers.
    shared    : bytes of shared memory of a block that are static.
    """

    registers: int
    spilled: int
    shared: int


@dataclass(frozen=True)
class DeviceCode:
    """Kernels compiled for one architecture.

    Attributes
    ----------
    toolkit : version of CUDA that compiled it.
    cubin   : machine code, which GPUs of this architecture and of later ones with the same major version run.
    ptx     : what the driver compiles for any later GPU.
    usage   : by kernel.
    """

    arch: str
    toolkit: tuple[int, int]
    cubin: bytes
    ptx: bytes
    usage: dict[str, Usage]


def compile(source: str, arch: str) -> DeviceCode:
    """Compile CUDA C++ for an architecture ("sm_80").

    Raises DependencyError where there is neither NVRTC nor nvcc, TvmoptError with the compiler's words where it
    refuses (an architecture that it does not know, an instruction that the architecture lacks).
    """
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings"):
        return _nvrtc(source, arch)
    if nvcc := shutil.which("nvcc"):
        return _nvcc(nvcc, source, arch)
    raise DependencyError("compiling for CUDA needs NVRTC or nvcc", hint="pip install 'tvmopt[cuda]'")


def _nvrtc(source: str, arch: str) -> DeviceCode:
    from cuda.bindings import nvrtc

    for library in _wheels("cu*/lib/libnvrtc.so.*"):
        ctypes.CDLL(str(library))  # cuda-bindings looks in site-packages only, and takes what is loaded already

    def done(status: Any, *results: Any) -> Any:
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise TvmoptError(
                f"NVRTC failed for {arch}: {_first_error(_log(nvrtc, program)) or nvrtc.nvrtcGetErrorString(status)[1]}"
            )
        return results[0] if len(results) == 1 else results

    def read(size: Any, get: Any) -> bytes:
        buffer = b" " * done(*size(program))
        done(*get(program, buffer))
        return buffer

    program = None
    try:
        program = done(*nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], []))
        options = [f"--gpu-architecture={arch}", "-default-device", _VERBOSE, *_FLAGS, *_includes()]
        done(*nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options]))
        cubin = read(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
        ptx = read(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
        return DeviceCode(arch, done(*nvrtc.nvrtcVersion()), cubin, ptx, usage(_log(nvrtc, program)))
    finally:
        if program is not None:
            nvrtc.nvrtcDestroyProgram(program)


def _log(nvrtc: Any, program: Any) -> str:
    if program is None:
        return ""
    buffer = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
    nvrtc.nvrtcGetProgramLog(program, buffer)
    return buffer.decode(errors="replace").strip("\0 \n")


def _first_error(log: str) -> str:
    """The first of a compiler's lines that is an error: there may be one for every instruction."""
    return next((line for line in log.splitlines() if re.search(r"\berror\b", line)), log).strip()


def _includes() -> list[str]:
    """Where the CUDA headers lie: in the wheels, or, without those, in the toolkit that is installed."""
    folders = _wheels("cu*/include")
    if not any((include / "cccl").is_dir() for include in folders) and (nvcc := shutil.which("nvcc")):
        folders.append(Path(nvcc).resolve().parent.parent / "include")
    return [f"-I{folder}" for include in folders for folder in (include, include / "cccl")]


def _wheels(pattern: str) -> list[Path]:
    """Files of NVIDIA's wheels."""
    found = importlib.util.find_spec("nvidia")
    roots = [] if found is None or found.submodule_search_locations is None else found.submodule_search_locations
    return [path for root in roots for path in sorted(Path(root).glob(pattern))]


def _nvcc(nvcc: str, source: str, arch: str) -> DeviceCode:
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as name:
        folder = Path(name)
        (folder / "kernels.cu").write_text(source)
        said = ""
        for kind in ("cubin", "ptx"):
            command = [nvcc, f"--{kind}", f"-arch={arch}", *_FLAGS, _VERBOSE, "-o", f"kernels.{kind}", "kernels.cu"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise TvmoptError(f"nvcc failed for {arch}: {_first_error(done.stderr)}")
            said += done.stderr
        said_version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"release (\d+)\.(\d+)", said_version)
        assert version is not None
        toolkit = int(version[1]), int(version[2])
        cubin, ptx = ((folder / f"kernels.{kind}").read_bytes() for kind in ("cubin", "ptx"))
        return DeviceCode(arch, toolkit, cubin, ptx, usage(said))


def usage(log: str) -> dict[str, Usage]:
    """What ptxas says of each kernel under ``-v``."""
    found = {}
    for name, text in re.findall(
        r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", log, re.DOTALL
    ):
        numbers = [re.search(rf"(\d+) {what}", text) for what in ("registers", "bytes spill stores", "bytes smem")]
        found[name] = Usage(*(int(number[1]) if number else 0 for number in numbers))
    return found

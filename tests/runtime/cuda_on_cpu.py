"""Compiles the CUDA C++ of kernels for the CPU (``cuda_on_cpu.h``), so that the text that NVRTC gets is what runs."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tvmopt.backends.cuda import compiler

Launch = Callable[..., None]
"""Runs a kernel of extents of a grid and of a block, int[3] each, on addresses of its parameters."""

_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\) \{')
_HELPER = re.compile(r"^__forceinline__ __device__ void tvmopt_[^\n]*(\}|\{\n.*?^\})\n", re.DOTALL | re.MULTILINE)
_LAUNCHER = """
static void **{name}_parameters;
static void {name}_thread() {{ {name}({arguments}); }}
extern "C" void launch_{name}(const int *grid, const int *extents, void **parameters) {{
  {name}_parameters = parameters;
  kernel = {name}_thread;
  launch(grid, extents);
}}
"""


def compile(source: str, folder: Path, name: str) -> dict[str, Launch]:
    """The kernels of CUDA C++ by name. Vectors at odd addresses end the process."""
    _, _, text = source.partition("#define ushort unsigned short\n#endif\n")
    assert text, "TVM's CUDA C++ begins otherwise"
    text = re.sub(r"#if __CUDA_ARCH__ >= 800\n#define tvmopt_wait.*?#endif\n", "", text, flags=re.DOTALL)
    text = _HELPER.sub("", text)
    text = re.sub(r"extern __shared__ __align__\(\d+\) uchar (\w+)\[\];", r"unsigned char *\1 = dynamic_shared;", text)
    text = re.sub(r"__shared__ (alignas\(\d+\)) ", r"\1 static ", text)
    found = {kernel[1]: kernel[2].split(",") for kernel in _KERNEL.finditer(text)}
    launchers = [_launcher(kernel, parameters) for kernel, parameters in found.items()]
    header = Path(__file__).with_suffix(".h")
    types = "#define uint unsigned int\n#define uchar unsigned char\n#define ushort unsigned short\n"
    (folder / f"{name}.cpp").write_text(f'#include "{header}"\n{types}{text}{"".join(launchers)}')
    flags = ["-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=off", "-fsanitize=alignment"]
    flags += ["-fno-sanitize-recover", *compiler._includes()]
    subprocess.run(["g++", *flags, "-o", f"{name}.so", f"{name}.cpp"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / f"{name}.so"))
    return {kernel: getattr(library, f"launch_{kernel}") for kernel in found}


def _launcher(name: str, parameters: list[str]) -> str:
    types = [parameter.partition("__restrict__")[0] for parameter in parameters]
    arguments = ", ".join(f"({kind}){name}_parameters[{i}]" for i, kind in enumerate(types))
    return _LAUNCHER.format(name=name, arguments=arguments)

"""The C compiler that compiles and links an artifact: this machine's own, a cross compiler, or the ziglang wheel."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import DependencyError, TvmoptError
from ..target import Target
from . import cpu

# GNU triples by architecture of the Linux targets; also the prefix of Debian's cross compilers and their packages.
TRIPLES = {
    "x86_64": "x86_64-linux-gnu",
    "aarch64": "aarch64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "riscv64": "riscv64-linux-gnu",
}


def compiler(target: Target) -> list[str]:
    """The command of a C compiler for a Linux target.

    The first found of: for this machine's own architecture ``$CC``, cc, gcc, clang; else ``<triple>-gcc``; the
    ziglang wheel. Raises DependencyError, saying what to install, when there is none.
    """
    arch = cpu.architecture(target)
    triple = TRIPLES[arch]
    native = arch == platform.machine() and sys.platform == "linux"
    names = [os.environ.get("CC", "cc"), "gcc", "clang"] if native else [f"{triple}-gcc"]
    for name in names:
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", f"{triple}.2.28"]
    package = "gcc" if native else f"gcc-{triple.replace('_', '-')}"
    raise DependencyError(
        f"compiling for {target.name} needs a C compiler, and none was found",
        hint=f"install your system's package {package}, or: pip install 'tvmopt[cross]'",
    )


def objects(command: list[str], sources: list[str], flags: list[str], folder: Path) -> list[str]:
    """Compile C and assembly of ``folder``, each to an object named after it.

    By themselves, because a compiler that is to link what it compiles gives objects random names, which the linker
    writes into the library: that should be the same bytes every time.
    """
    made = [f"{Path(source).stem}.o" for source in sources]
    for source, name in zip(sources, made, strict=True):
        run([*command, "-std=c11", "-O2", "-fPIC", *flags, "-c", "-o", name, source], folder)
    return made


def run(command: list[str], folder: Path) -> None:
    """Run a compiler in ``folder``; its messages are the error when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TvmoptError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")

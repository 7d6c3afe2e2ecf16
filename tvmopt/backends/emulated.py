"""Engines that run what was compiled for another machine."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..abi import NAME
from ..errors import DependencyError
from ..model import Model
from ..runtime.emulator import Emulated
from ..target import Target
from . import cpu, link, source, static_c
from .manifest import written


def engine(
    path: Path, model: Model, target: Target, manifest: dict[str, Any], name: str = NAME
) -> Callable[[], Emulated] | None:
    """What runs the artifact ``path`` here, where this machine cannot and the target names an emulator."""
    if target.emulator is None or cpu.architecture(target) == platform.machine():
        return None
    if target.backend == "static_c":
        return partial(bare_metal, path, path.parent / "firmware", model, target, name)
    return partial(linux, path, path.parent, model, target, target.emulator.command, manifest)


def bare_metal(path: Path, folder: Path, model: Model, target: Target, name: str, *, profile: bool = False) -> Emulated:
    """Run the project ``path`` of a model of this name in C, which it copies to ``folder`` and builds there.

    profile : at its end it tells the ticks of every step, too.

    Raises DependencyError without the compiler.
    """
    if shutil.which(static_c.COMPILER) is None:
        raise DependencyError(
            f"running code for {target.name} needs {static_c.COMPILER}",
            hint="install your system's packages gcc-arm-none-eabi and libnewlib-arm-none-eabi",
        )
    shutil.copytree(path, folder)
    link.run(["make", "--silent", *(["PROFILE=1"] if profile else [])], folder)
    command = [*static_c.emulator(target), str(folder / "firmware.elf")]
    return Emulated(command, written(path, name), model.inputs, model.outputs)


def linux(
    path: Path, folder: Path, model: Model, target: Target, emulator: Sequence[str], manifest: dict[str, Any]
) -> Emulated:
    """Run the library ``path``, compiled for a Linux target.

    folder   : where the program that loads it is made.
    emulator : the command of a user-mode emulator.
    """
    runner = source.template("runner.c")
    link.run([*link.compiler(target), "-std=gnu11", "-O1", "-o", "runner", str(runner), "-ldl"], folder)
    return Emulated([*emulator, str(folder / "runner"), str(path)], manifest, model.inputs, model.outputs)

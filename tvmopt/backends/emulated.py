"""Engines that run what was compiled for another machine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..model import Model
from ..runtime.emulator import Emulated
from ..target import Target
from . import cpu, link, source


def engine(path: Path, model: Model, target: Target, manifest: dict[str, Any]) -> Callable[[], Emulated] | None:
    """What runs the library ``path`` here, where this machine cannot and the target names an emulator."""
    if target.emulator is None or cpu.architecture(target) == platform.machine():
        return None
    return partial(linux, path, path.parent, model, target, target.emulator.command, manifest)


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

"""What a lowered model takes on a CPU, and what each of its steps does there, without the device."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..abi import NAME
from ..errors import DependencyError
from ..model import Model
from ..target import Target
from . import elf, emulated, kernels, library, static_c
from .embedded import DEFAULT, Embedded
from .image import Image
from .manifest import describe

_PROGRAM_BYTES = 16 << 10
"""For what the example project adds to a model."""


@dataclass(frozen=True)
class Step:
    """A call of a kernel: the tensor that it computes, and its instructions where they were counted."""

    name: str
    kernel: str
    instructions: int | None


@dataclass(frozen=True)
class Footprint:
    """Memory, and the steps of one inference.

    Attributes
    ----------
    flash_bytes : kernels with their tables, and constants; what calls them and the manifest are not in it.
    ram_bytes   : the workspace; the caller's inputs and outputs are not in it.
    steps       : in order, with instructions that the target's emulator counted on inputs of zeros.
    uncounted   : why there are none; "" where there are.
    """

    flash_bytes: int
    ram_bytes: int
    steps: tuple[Step, ...]
    uncounted: str


def footprint(model: Model, target: Target, options: Embedded = DEFAULT) -> Footprint:
    """Compile a model for one thread, and run it where the target has an emulator that counts instructions.

    Raises UnsupportedError where ``image.make`` does: for a model that needs TVM at run time, or more memory than there
    is.
    """
    with TemporaryDirectory(prefix="tvmopt-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        if target.backend == "static_c":
            made = static_c.build(model, target, folder, describe(model, target, 1), options)
        else:
            made = library.plan(model, target)
            kernels.write_object(made.kernels, target, folder / f"{NAME}_kernels.o")
        flash_bytes = elf.loaded_bytes(folder / f"{NAME}_kernels.o") + made.layout.weights_bytes
        counts, uncounted = _count(folder, made, flash_bytes)
    return Footprint(flash_bytes, made.layout.workspace_bytes, _steps(made, counts), uncounted)


def _steps(made: Image, counts: list[int] | None) -> tuple[Step, ...]:
    program = made.program
    names = [str(tensor.name) for tensor in program.tensors]
    for spec, tensor in zip(made.model.outputs, program.outputs, strict=True):
        names[tensor] = spec.name
    return tuple(
        Step(names[call.writes[0]], str(call.kernel), None if counts is None else counts[number])
        for number, call in enumerate(program.calls)
    )


def _count(folder: Path, made: Image, flash_bytes: int) -> tuple[list[int] | None, str]:
    """Instructions of each step of a project that ``static_c`` wrote; or None, and why they cannot be counted."""
    target, board = made.target, made.target.emulator
    if target.backend != "static_c" or board is None or board.clock_mhz is None:
        return None, f"target {target.name} has no emulator that counts instructions"
    manifest_bytes = (folder / f"{NAME}_manifest.json").stat().st_size
    if flash_bytes + manifest_bytes + _PROGRAM_BYTES > board.flash_kib * 1024:
        return None, f"it is larger than the emulated machine's flash of {board.flash_kib} KiB"
    try:
        engine = emulated.bare_metal(folder, folder.with_name("firmware"), made.model, target, NAME, profile=True)
    except DependencyError as error:
        return None, str(error)
    engine.run({spec.name: np.zeros(tuple(map(int, spec.shape)), spec.dtype) for spec in engine.inputs})
    _, *times = map(int, engine.close().split())
    # QEMU gives every instruction one nanosecond, which SysTick counts.
    instructions = [ticks * 1000 // board.clock_mhz for ticks in times]
    return [after - before for before, after in pairwise(instructions)], ""

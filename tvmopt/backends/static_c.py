"""A model for a microcontroller: an object file and C sources without libc or heap, and a project that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..model import Model
from ..target import Target
from . import image, kernels, portable, source

COMPILER = "arm-none-eabi-gcc"

Emit = Literal["object", "c"]
"""How kernels are written: compiled by LLVM, or as portable C."""

# Enough for MVE's loads of doublewords.
_ALIGNMENT = 8
# Stacks are small: kernel buffers that are larger are in the workspace.
_STACK_BYTES = 512


def build(model: Model, target: Target, folder: Path, manifest: dict[str, Any], emit: Emit = "object") -> image.Image:
    """Write a lowered model into ``folder``; returns what it is made of, for reports.

    For an application: ``model.h``, ``model.c``, ``model_data.S`` (with ``model_weights.bin`` and
    ``model_manifest.json``) and ``model_kernels.o`` (or ``.c``). Besides, where the target names an emulator, a
    project that runs the model there: ``main.c``, ``startup.c``, ``firmware.ld`` and ``Makefile``.

    manifest : what the artifact tells of itself, to which the plan of its memory is added.
    emit     : "object" for kernels compiled by LLVM, "c" for portable C.

    Raises UnsupportedError for a model that is not static, or that C cannot express.
    """
    options = {"alignment": _ALIGNMENT, "stack_bytes": _STACK_BYTES}
    made = image.make(model, target, "model", **options, parallel=False, portable=emit == "c")
    source.write(made, folder, manifest)
    written = "model_kernels.c" if emit == "c" else "model_kernels.o"
    if emit == "c":
        portable.write(made, folder / written)
    else:
        kernels.write_object(made.kernels, target, folder / written)
    if target.emulator is not None:
        _write_project(made, folder, written)
    return made


def flags(target: Target) -> list[str]:
    """Options of the C compiler for a target."""
    return [f"-mcpu={target.llvm.mcpu}", "-mthumb", f"-mfloat-abi={target.llvm.mfloat_abi or 'soft'}"]


def emulator(target: Target) -> list[str]:
    """The command that runs ``firmware.elf``, which follows it."""
    assert target.emulator is not None
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    return [*target.emulator.command, *quiet, "-semihosting-config", "enable=on,target=native", "-kernel"]


def _write_project(made: image.Image, folder: Path, written: str) -> None:
    target, model = made.target, made.model
    board = target.emulator
    assert board is not None
    source.fill("firmware/startup.c", folder / "startup.c")
    source.fill(
        "firmware/firmware.ld",
        folder / "firmware.ld",
        target=target.name,
        flash=hex(board.flash),
        ram=hex(board.ram),
        flash_kib=board.flash_kib,
        ram_kib=board.ram_kib,
    )
    source.fill(
        "firmware/Makefile",
        folder / "Makefile",
        compiler=COMPILER,
        target=target.name,
        kernels=written,
        flags=" ".join(flags(target)),
        run=" ".join([*emulator(target), "firmware.elf"]),
    )
    names = {kind: [f"{kind}{i}" for i in range(len(getattr(model, f"{kind}s")))] for kind in ("input", "output")}
    sizes = {kind: [f"TVMOPT_MODEL_{kind.upper()}_{i}_BYTES" for i in range(len(names[kind]))] for kind in names}
    buffers = [
        f"static uint8_t {name}[{size}] __attribute__((aligned(8)));"
        for kind in names
        for name, size in zip(names[kind], sizes[kind], strict=True)
    ]
    source.fill(
        "firmware/main.c",
        folder / "main.c",
        buffers="\n".join(buffers),
        inputs=", ".join(names["input"]),
        outputs=", ".join(names["output"]),
        input_bytes=", ".join(sizes["input"]),
        output_bytes=", ".join(sizes["output"]),
        inputs_count=len(names["input"]),
        outputs_count=len(names["output"]),
    )

"""A model for a microcontroller: an object file and C sources without libc or heap, and a project that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..abi import NAME
from ..model import Model
from ..target import Target
from . import image, kernels, portable, source
from .embedded import DEFAULT, Embedded
from .layout import Work

COMPILER = "arm-none-eabi-gcc"

# Enough for MVE's loads of doublewords.
_ALIGNMENT = 8
# And for all that an Ethos-U is given (its technical reference manuals, "AXI").
_ACCELERATOR_ALIGNMENT = 16
# Stacks are small: kernel buffers that are larger are in the workspace.
_STACK_BYTES = 512


def build(
    model: Model,
    target: Target,
    folder: Path,
    manifest: dict[str, Any],
    options: Embedded = DEFAULT,
    external: Mapping[str, Work] | None = None,
    name: str = NAME,
) -> image.Image:
    """Write a lowered model into ``folder``; returns what it is made of, for reports.

    For an application: ``<name>.h``, ``.c``, ``_data.S`` (with ``_weights.bin`` and ``_manifest.json``) and
    ``_kernels.o`` (or ``.c``), which can be linked with models of other names. Besides, where the target names an
    emulator, a project that runs the model there: ``main.c``, ``startup.c``, ``firmware.ld`` and ``Makefile``.

    manifest : what the artifact tells of itself, to which the plan of its memory is added.
    external : what subgraphs of an accelerator do to memory; their C functions are written elsewhere.
    name     : of the model in C.

    Raises UnsupportedError for a model that is not static, that C cannot express, or whose workspace is larger than the
    target's memory.
    """
    made = image.make(
        model,
        target,
        name,
        alignment=_ACCELERATOR_ALIGNMENT if external else _ALIGNMENT,
        stack_bytes=_STACK_BYTES,
        threads=1,
        regions=target.memory.for_workspace,
        options=options,
        external=external,
    )
    source.write(made, folder, manifest)
    written = f"{name}_kernels.c" if options.emit == "c" else f"{name}_kernels.o"
    if options.emit == "c":
        portable.write(made, folder / written)
    else:
        kernels.write_object(made.kernels, target, folder / written, inline=not made.savings)
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
    target, layout = made.target, made.layout
    board = target.emulator
    assert board is not None
    source.fill("firmware/startup.c", folder / "startup.c")
    kib = {region.name: region.kib for region in target.memory.for_workspace}
    source.fill(
        "firmware/firmware.ld",
        folder / "firmware.ld",
        target=target.name,
        flash=hex(board.flash),
        ram=hex(board.ram),
        flash_kib=board.flash_kib,
        ram_kib=board.ram_kib,
        regions="".join(
            f"  {name.upper()} (rw) : ORIGIN = {address:#x}, LENGTH = {kib[name]}K\n"
            for name, address in board.regions.items()
        ),
        sections="".join(f"  .{name} (NOLOAD) : {{ *(.bss.{name}) }} > {name.upper()}\n" for name in board.regions),
    )
    source.fill(
        "firmware/Makefile",
        folder / "Makefile",
        compiler=COMPILER,
        target=target.name,
        name=made.name,
        kernels=written,
        flags=" ".join(flags(target)),
        run=" ".join([*emulator(target), "firmware.elf"]),
    )
    prefix = f"TVMOPT_{made.name.upper()}"
    definitions = [
        _array(argument, f"{prefix}_{argument.upper()}_BYTES + 1", region if region in board.regions else None)
        for argument, region in zip(layout.workspaces, layout.plans, strict=True)
    ]
    values: dict[str, str | int] = {}
    for kind, places in (("input", layout.inputs), ("output", layout.outputs)):
        macros = [f"{prefix}_{kind.upper()}_{i}" for i in range(len(places))]
        if made.options.io_memory == "caller":
            definitions += [_array(f"{kind}{i}", f"{macro}_BYTES") for i, macro in enumerate(macros)]
            addresses = [f"{kind}{i}" for i in range(len(places))]
        else:
            addresses = [
                f"{layout.workspaces[place.number]} + {macro}_OFFSET"
                for macro, place in zip(macros, places, strict=True)
            ]
        values |= {f"{kind}s": ", ".join(addresses), f"{kind}s_count": len(places)}
        values[f"{kind}_bytes"] = ", ".join(f"{macro}_BYTES" for macro in macros)
    arguments = [
        *(["(const void *const *)inputs", "outputs"] if made.options.io_memory == "caller" else []),
        *layout.workspaces,
    ]
    source.fill(
        "firmware/main.c",
        folder / "main.c",
        name=made.name,
        definitions="\n".join(definitions),
        arguments=", ".join(arguments),
        steps_count=len(made.program.calls),
        **values,
    )


def _array(name: str, size: str, region: str | None = None) -> str:
    """A C definition of bytes, in a memory region of their own or with all other data."""
    section = f', section(".bss.{region}")' if region else ""
    return f"static uint8_t {name}[{size}] __attribute__((aligned({_ACCELERATOR_ALIGNMENT}){section}));"

"""Memory, code size and instructions on microcontrollers, in QEMU: the same numbers on every machine.

Instructions are counted, not cycles: QEMU gives every instruction one nanosecond, which SysTick counts.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import tvmopt
from tvmopt import target as targets
from tvmopt.cli import options, terminal
from tvmopt.errors import UnsupportedError
from tvmopt.runtime.emulator import Emulated

from . import models
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "ad"]
CORES = ["arm/cortex-m4", "arm/cortex-m7", "arm/cortex-m55"]


@dataclass(frozen=True)
class Cost:
    """Bytes of memory, and millions of instructions of one inference.

    compressed      : whether weights are stored without their zeros where that saves flash.
    workspace_bytes : activations and scratch; the caller's inputs and outputs are not in it.
    code_bytes      : kernels and their tables, without weights.
    """

    model: str
    target: str
    compressed: bool
    workspace_bytes: int
    weights_bytes: int
    code_bytes: int
    minstructions: float


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    rows: list[Cost]


def measure(name: str, core: str, prune: str | None = None, compressed: bool = False) -> Cost:
    """Compile a model for a microcontroller and run it in its emulator.

    prune : which weights are made zero before (see ``tvmopt.compress``).

    Raises UnsupportedError for a target that has no emulator whose instructions can be counted.
    """
    found = targets.get(core)
    if found.emulator is None or found.emulator.clock_mhz is None:
        raise UnsupportedError(f"target {core} has no emulator that counts instructions")
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        path = models.get(name)
        if prune is not None:
            tvmopt.compress(path, Path(folder) / path.name, prune=prune)
            path = Path(folder) / path.name
        artifact = tvmopt.compile(path, found, compress_weights=compressed)
    engine = artifact.engine
    assert isinstance(engine, Emulated)
    engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})
    nanoseconds = int(engine.close()) * 1000 / found.emulator.clock_mhz
    command = ["arm-none-eabi-size", artifact.path / "model_kernels.o"]
    sizes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1].split()
    memory = artifact.manifest["memory"]
    return Cost(
        name,
        core,
        compressed,
        memory["workspace_bytes"],
        memory["weights_bytes"],
        int(sizes[0]),
        round(nanoseconds / 1e6, 3),
    )


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@click.option("--targets", "cores", default=",".join(CORES), callback=listed, show_default=True, help="Targets.")
@click.option("--prune", help="Weights to make zero before, as `tvmopt compress` has it: unstructured:0.8.")
@click.option("--compress-weights", is_flag=True, help="Each also with weights stored without their zeros.")
@options.as_json
def main(names: list[str], cores: list[str], prune: str | None, compress_weights: bool, as_json: bool) -> None:
    ways = [False, True] if compress_weights else [False]
    with terminal.progress():
        report = Report([measure(name, core, prune, way) for name in names for core in cores for way in ways])
    if as_json:
        terminal.print_json(report)
        return
    rows = [
        [
            *(cost.model, cost.target.removeprefix("arm/"), "compressed" if cost.compressed else "dense"),
            *(f"{size:,}" for size in (cost.workspace_bytes, cost.weights_bytes, cost.code_bytes)),
            f"{cost.minstructions:.2f}",
        ]
        for cost in report.rows
    ]
    header = ["model", "core", "weights", "workspace", "weights", "code", "M instructions"]
    terminal.print_table("bytes, and instructions of one inference", header, rows)


if __name__ == "__main__":
    main()

"""What AMX could gain: an estimate.

AMX code is tested under emulation of the instructions; its speed was not measured. Counted here are the instructions
of the kernels that take tiles (schedules/x86_amx.py), and the cycles that the model by which tiles are chosen gives
them (schedules/_amx_tile.py), which knows no memory beyond L1. Beside them: the same layers by vectors at their peak,
two vpdpbusd a cycle. Either finishes its sums with the same instructions: 24 vector operations, two a cycle, for 64
outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.lowering.lower import functions
from tvmopt.passes import pipeline
from tvmopt.tuning import extract
from tvmopt.tuning.task import Task

from . import data, models
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "mobilenet_v2-u8-qdq", "resnet50-u8-qdq", "bert_tiny-u8-qdq"]
TARGET = "x86/sapphirerapids"
REPORT = data.ROOT / "docs" / "amx.md"
HEADINGS = ["model", "layers by tiles", "MMAC", "tiles filled", "of AMX's peak", "over vectors"]
TILE_MACS = 16 * 16 * 64
"""Of a tdpbusd."""

TILES, VECTORS = 1024, 128
"""MACs in a cycle, at most."""

EPILOGUE = 24 / 2 / 64
"""Cycles for an output."""


@dataclass(frozen=True)
class Counts:
    """Of the layers by tiles, one inference.

    macs    : of outputs, with those that fill up the last 16.
    tdp     : tdpbusd instructions.
    cycles  : an estimate.
    vectors : cycles of the same layers by vectors, at their peak.
    """

    macs: int = 0
    tdp: int = 0
    cycles: float = 0
    vectors: float = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.macs + other.macs, self.tdp + other.tdp, self.cycles + other.cycles, self.vectors + other.vectors
        )


@dataclass(frozen=True)
class Estimate:
    """A model's layers by tiles.

    layers, macs : how many there are, and theirs.
    fill         : share of the MACs of all tdpbusd that are the layers'.
    peak         : share of the cycles, epilogues included, that the MACs would take at 1024 a cycle.
    gain         : how many times the cycles are those by vectors.
    """

    model: str
    layers: int
    macs: int
    fill: float
    peak: float
    gain: float


def estimate(name: str) -> Estimate:
    """Count the instructions of a model."""
    model = pipeline.run(tvmopt.load(models.get(name)))
    target = tvmopt.target.get(TARGET)
    mod, _ = functions(model.mod, target)
    tasks = [task for task in extract.of_module(mod, target).values() if task.rule == "x86_amx"]
    total = sum((count(task) for task in tasks), Counts())
    return Estimate(
        name,
        sum(task.weight for task in tasks),
        total.macs,
        total.macs / (total.tdp * TILE_MACS),
        total.macs / TILES / total.cycles,
        total.vectors / total.cycles,
    )


def count(task: Task) -> Counts:
    """Of all calls of a kernel."""
    from tvm.s_tir import Schedule
    from tvmopt.schedules import _amx_tile
    from tvmopt.schedules._common import Decisions

    sch = Schedule(task.func)
    of = _amx_tile.Contraction(sch)
    tile = _amx_tile.choose(of, Decisions(sch, tunable=False))
    assert tile is not None
    tiles = of.batches * -(-tile.count // tile.high) * tile.high * of.blocks
    outputs = of.batches * of.places * of.blocks * _amx_tile.LANES
    macs = outputs * of.steps * 4
    finish = outputs * EPILOGUE
    cycles = _amx_tile.cycles(of, tile)
    once = (macs, tiles * of.steps // tile.depth, cycles + finish, macs / VECTORS + finish)
    return Counts(*(int(task.weight) * value for value in once))


def table(found: list[Estimate]) -> list[list[str]]:
    """Rows of it."""
    return [
        [e.model, str(e.layers), f"{e.macs / 1e6:.0f}", f"{e.fill:.0%}", f"{e.peak:.0%}", f"{e.gain:.1f}x"]
        for e in found
    ]


def markdown(found: list[Estimate]) -> str:
    """The report as a page."""
    lines = ["# AMX", "", "<!-- python -m benchmarks.amx --write -->", str(__doc__).strip(), ""]
    rows = [HEADINGS, ["---"] * len(HEADINGS), *table(found)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@options.as_json
@click.option("--write", is_flag=True, help=f"Write {REPORT.relative_to(data.ROOT)}.")
def main(names: list[str], as_json: bool, write: bool) -> None:
    with terminal.progress():
        found = [estimate(name) for name in names]
    if write:
        REPORT.write_text(markdown(found))
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(f"{TARGET}: estimates, nothing was measured", HEADINGS, table(found))


if __name__ == "__main__":
    main()

"""What 2:4 weights save on an Ethos-U85, by Vela's estimates: nothing is executed.

Every weight of the models is pruned (`tvmopt compress --prune 2:4`: the two smallest of four neighbouring input
channels), and layers are compared by the cycles of the multiply-accumulate engine ("NPU cycles") and with memory
accesses, which overlap them ("cycles"). "sparse" layers are those that Vela has the engine compute with half of the
multiplications; it keeps others dense whose weights comply, and the input layer's, with 3 channels, do not. Where the
engine is not what a layer waits for, it waits for DRAM or SRAM; and every layer has some hundred cycles of its own that
stay, so that layers of a few thousand gain less on large engines.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import tvmopt
from tvmopt import target as targets
from tvmopt.backends.npu import vela
from tvmopt.cli import options, terminal

from . import data, models
from .command import Command, listed

MODELS = ("ic", "resnet50-s8-qdq")
NPUS = sorted((name for name in targets.names() if "ethos-u85-" in name), key=lambda name: int(name.split("-")[-1]))
REPORT = data.ROOT / "docs" / "npu_sparsity.md"


@dataclass(frozen=True)
class Layer:
    """One layer: cycles with all weights, then with 2:4 ones.

    op    : as ``tvmopt.inspect`` names it.
    waits : for what, when sparse: "NPU", "DRAM" or "SRAM".
    """

    name: str
    op: str
    macs: int
    sparse: bool
    npu_cycles: tuple[int, int]
    cycles: tuple[int, int]
    waits: str


@dataclass(frozen=True)
class Row:
    """One model on one NPU."""

    model: str
    target: str
    layers: list[Layer]


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    estimated_by: str
    rows: list[Row]


def measure(name: str, npus: Sequence[str]) -> list[Row]:
    """A model as it is and pruned, by Vela for every NPU."""
    path = models.get(name)
    ops = {op.name: op.op for op in tvmopt.inspect(path).ops}
    with tempfile.TemporaryDirectory() as folder:
        pruned = Path(folder) / "pruned.onnx"
        tvmopt.compress(path, pruned, prune="2:4")
        return [Row(name, npu, _layers(path, pruned, npu, ops)) for npu in npus]


def _layers(path: Path, pruned: Path, npu: str, ops: dict[str, str]) -> list[Layer]:
    before, after = (_by_name(tvmopt.estimate(each, npu).layers) for each in (path, pruned))
    found = []
    for name, dense in before.items():
        sparse = after[name]
        cycles, npu_cycles = ((dense[key], sparse[key]) for key in ("cycles", "npu_cycles"))
        waits = max(("dram_cycles", "sram_cycles", "npu_cycles"), key=lambda key: sparse[key])
        halved = 0 < 2 * sparse["macs"] == dense["macs"]
        what = waits.removesuffix("_cycles").upper()
        found.append(Layer(name, ops.get(name, ""), dense["macs"], halved, npu_cycles, cycles, what))
    return found


_SUMMED = ("macs", "cycles", "npu_cycles", "sram_cycles", "dram_cycles")


def _by_name(layers: Sequence[vela.Layer]) -> dict[str, Counter[str]]:
    """Macs and cycles; several of Vela's operators may be one layer."""
    found: dict[str, Counter[str]] = {}
    for layer in layers:
        found.setdefault(layer.name, Counter()).update({key: getattr(layer, key) for key in _SUMMED})
    return found


def summary(row: Row) -> list[list[str]]:
    """Lines of a table: layers by what they are, and all of them."""
    groups: dict[str, list[Layer]] = {}
    for layer in row.layers:
        if layer.macs:
            groups.setdefault(f"{layer.op}, {'sparse' if layer.sparse else 'dense'}", []).append(layer)
    lines = [(what, layers) for what, layers in groups.items() if layers[0].op.startswith("conv")]
    return [_line(row, what, layers) for what, layers in (*sorted(lines), ("all", row.layers))]


def _line(row: Row, what: str, layers: list[Layer]) -> list[str]:
    ratios = sorted(layer.npu_cycles[0] / max(layer.npu_cycles[1], 1) for layer in layers if layer.macs)
    memory = sum(layer.waits != "NPU" for layer in layers)
    return [
        *(row.model, row.target.removeprefix("edge/"), what, str(len(layers))),
        f"{ratios[0]:.2f}x to {ratios[-1]:.2f}x",
        *(_gain([getattr(layer, cycles) for layer in layers]) for cycles in ("npu_cycles", "cycles")),
        str(memory),
    ]


def _gain(cycles: list[tuple[int, int]]) -> str:
    dense, sparse = (sum(side) for side in zip(*cycles, strict=True))
    return f"{dense:,} to {sparse:,}: {dense / max(sparse, 1):.2f}x"


HEADER = ["model", "NPU", "layers", "count", "each", "NPU cycles", "cycles", "waiting for memory"]


def markdown(report: Report) -> str:
    """docs/npu_sparsity.md."""
    lines = ["# 2:4 weights on Ethos-U85", "", "<!-- python -m benchmarks.npu_sparsity --write -->"]
    lines += [str(__doc__).strip(), "", f"{report.estimated_by}.", ""]
    cells = [line for row in report.rows for line in summary(row)]
    lines += [f"| {' | '.join(line)} |" for line in (HEADER, ["---"] * len(HEADER), *cells)]
    return "\n".join(lines) + "\n"


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@click.option("--targets", "npus", default=",".join(NPUS), callback=listed, show_default=True, help="Targets.")
@options.as_json
@click.option("--write", is_flag=True, help=f"Write {REPORT.relative_to(data.ROOT)}.")
def main(names: list[str], npus: list[str], as_json: bool, write: bool) -> None:
    with terminal.progress():
        report = Report(vela.version_name(), [row for name in names for row in measure(name, npus)])
    if as_json:
        terminal.print_json(report)
    else:
        terminal.print_table(report.estimated_by, HEADER, [line for row in report.rows for line in summary(row)])
    if write:
        REPORT.write_text(markdown(report))


if __name__ == "__main__":
    main()

"""Energy of MLPerf Tiny's models by `tvmopt estimate`, beside what was measured on boards: docs/energy.md.

Figures of microcontrollers' target files are medians over measurements of these models, which are in mlperf_tiny.json.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.report.cpu import CpuEstimate
from tvmopt.report.estimate import Estimate

from . import data, mlperf_tiny, models
from .command import Command
from .mlperf_tiny import BASE, Measured

REPORT = data.ROOT / "docs" / "energy.md"
MARK = "<!-- from here on: python -m benchmarks.energy --write -->\n"
MODELS = ("ad", "kws", "vww", "ic")
ARRAY = "edge/systolic-64x64"
PRUNE = "unstructured:0.8"

Table = tuple[str, list[str], list[list[str]]]
"""Title, header, lines."""


@dataclass(frozen=True)
class Report:
    """What is printed as JSON: estimates by target and model, on ``BASE`` also by what zeros were made of."""

    microcontrollers: dict[str, dict[str, CpuEstimate]]
    zeros: dict[str, CpuEstimate]
    array: dict[str, Estimate]


def measure(known: Measured) -> Report:
    """Estimate all models on all boards that were measured, and on the systolic array."""
    paths = {name: models.get(name) for name in MODELS}
    boards = {target: {name: cpu(path, target) for name, path in paths.items()} for target in known.boards}
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        pruned = Path(folder) / "ad.onnx"
        tvmopt.compress(paths["ad"], pruned, prune=PRUNE)
        zeros = {
            "vww, nothing folded": cpu(paths["vww"], BASE, sparsity=False),
            "vww": boards[BASE]["vww"],
            f"ad, {PRUNE}": cpu(pruned, BASE),
            f"ad, {PRUNE}, --compress-weights": cpu(pruned, BASE, compress_weights=True),
        }
    return Report(boards, zeros, {name: array(path) for name, path in paths.items()})


def cpu(path: Path, target: str, *, sparsity: bool = True, compress_weights: bool = False) -> CpuEstimate:
    """What a model costs on a microcontroller."""
    found = tvmopt.estimate(path, target, sparsity=sparsity, compress_weights=compress_weights)
    assert isinstance(found, CpuEstimate)
    return found


def array(path: Path) -> Estimate:
    """What a model costs on the systolic array."""
    found = tvmopt.estimate(path, ARRAY)
    assert isinstance(found, Estimate)
    return found


def measured_tables(known: Measured) -> list[Table]:
    """What the figures are made of, and how well they predict what they are not made of."""
    figures = known.figures()
    power = [
        [target, board.board, str(board.mhz), *_by_model(board.milliwatts(), 1), f"{figures[target][0]:.1f}"]
        for target, board in known.boards.items()
    ]
    cycles = [[t, c.board, *_with_median(c.cycles_per_instruction())] for t, c in known.code.items()]
    shares = [
        [target, board.board, *_with_median(known.share_of_cycles(target))]
        for target, board in known.boards.items()
        if target != BASE
    ]
    predictions = [
        [name, f"{predicted:,.0f}", f"{measured:,.0f}", f"{predicted / measured - 1:+.0%}"]
        for name, (predicted, measured) in known.leave_one_out().items()
    ]
    return [
        ("Power that boards drew, mW", ["target", "board", "MHz", *MODELS, "median"], power),
        ("Cycles per instruction", ["target", "board", *MODELS, "median"], cycles),
        (f"Cycles as a share of {BASE}'s, the same software", ["target", "board", *MODELS, "median"], shares),
        ("Energy of public code, predicted by the other models", ["model", "uJ", "measured", "differs"], predictions),
    ]


def estimated_tables(known: Measured, report: Report) -> list[Table]:
    """Our kernels."""
    ours = [
        [name, *_costs(one), *_beside(one.energy_uj, known.boards[target].models[name][1])]
        for target, found in report.microcontrollers.items()
        for name, one in found.items()
    ]
    on_array = [
        [name, f"{one.macs:,}", f"{one.utilisation:.1%}", f"{one.energy_uj:.1f}", f"{known.accelerator_uj[name]:.1f}"]
        for name, one in report.array.items()
    ]
    header = ["model", "target", "M instructions", "ms", "uJ", "flash bytes"]
    return [
        ("Our kernels", [*header, "vendor's uJ, measured", "ratio"], ours),
        ("What zeros save", header, [[name, *_costs(one)] for name, one in report.zeros.items()]),
        (f"Systolic array ({ARRAY})", ["model", "MACs", "use", "uJ", "GAP9's uJ, measured"], on_array),
    ]


def _by_model(values: Mapping[str, float], digits: int) -> list[str]:
    return [f"{values[name]:.{digits}f}" for name in MODELS]


def _with_median(values: Mapping[str, float]) -> list[str]:
    return [*_by_model(values, 2), f"{statistics.median(values.values()):.2f}"]


def _costs(one: CpuEstimate) -> list[str]:
    instructions, us, joules = one.instructions or 0, one.latency_us or 0.0, one.energy_uj or 0.0
    return [one.target, f"{instructions / 1e6:.2f}", f"{us / 1e3:.2f}", f"{joules:,.0f}", f"{one.flash_bytes:,}"]


def _beside(ours: float | None, vendors: float) -> list[str]:
    return [f"{vendors:,.0f}", f"{(ours or 0.0) / vendors:.2f}"]


def markdown(tables: list[Table]) -> str:
    """What docs/energy.md has behind its mark."""
    lines = []
    for title, header, rows in tables:
        lines += [
            "",
            f"### {title}",
            "",
            *(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)),
        ]
    return "\n".join(lines) + "\n"


@click.command(cls=Command, help=__doc__)
@options.as_json
@click.option("--write", is_flag=True, help=f"Write the tables of {REPORT.relative_to(data.ROOT)}.")
def main(as_json: bool, write: bool) -> None:
    known = mlperf_tiny.read()
    with terminal.progress():
        report = measure(known)
    tables = [*measured_tables(known), *estimated_tables(known, report)]
    if as_json:
        terminal.print_json(report)
    else:
        for table in tables:
            terminal.print_table(*table)
    if write:
        REPORT.write_text(REPORT.read_text().partition(MARK)[0] + MARK + markdown(tables))


if __name__ == "__main__":
    main()

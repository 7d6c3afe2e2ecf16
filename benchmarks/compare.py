"""Latency of the benchmark models beside other runtimes.

Measured on one machine in one run, in turn (A B A B ...), with the same file and input, batch 1, the same number of
threads, each runtime at its best public settings. Times are medians; in brackets, how many times faster tvmopt is. A
model that a runtime does not take is listed with its reason and counts in no mean.

LiteRT takes .tflite files, of the same networks: MLPerf Tiny's own, and ours as TensorFlow quantizes them. ``python -m
benchmarks.tflite --help`` tells how to get them; set TVMOPT_TFLITE to their folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING

import click

import tvmopt
from tvmopt import peers
from tvmopt.cli import options, terminal

from . import data, models, plots
from .command import Command, listed

if TYPE_CHECKING:
    from tvmopt.report.bench import Comparison, Row

DEFAULT = [*models.MLPERF_TINY, "mobilenet_v2", "resnet50", "bert_tiny"]
REPORT = data.ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Run:
    """All models with one number of threads.

    geometric_mean : runtime -> how many times faster tvmopt is, over the models that the runtime ran.
    """

    threads: int
    models: list[Comparison]
    geometric_mean: dict[str, float]

    @property
    def setting(self) -> str:
        """Machine, target, threads and versions, one line."""
        first = self.models[0]
        versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
        return f"{first.machine}, target {first.target}, threads: {self.threads}; {versions}"


@dataclass(frozen=True)
class Report:
    """What is printed as JSON: a run for every number of threads."""

    runs: list[Run]


def expand(names: Sequence[str]) -> list[str]:
    """Replace every built architecture by its quantized variants: "resnet50" -> "resnet50-u8-qdq", ..."""
    return [full for name in names for full in ([f"{name}-{v}" for v in models.VARIANTS.get(name, ())] or [name])]


def measure(names: Sequence[str], vs: Sequence[str], threads: int, target: str = "host") -> Run:
    """Time every model beside the peers ``vs``."""
    found = [replace(tvmopt.bench(models.get(name), target, vs=vs, threads=threads), model=name) for name in names]
    return Run(threads, found, means(found))


def means(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Geometric mean of the ratios, by runtime."""
    ratios = defaultdict(list)
    for comparison in comparisons:
        for runtime, ratio in comparison.ratio.items():
            ratios[runtime].append(ratio)
    return {runtime: geometric_mean(values) for runtime, values in ratios.items()}


def table(run: Run) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a model each, and the means."""
    runtimes = ["tvmopt", *(name for name in peers.NAMES if any(name == row.runtime for row in run.models[0].rows))]
    rows = []
    for comparison in run.models:
        found = {row.runtime: row for row in comparison.rows}
        rows.append([comparison.model, *(_cell(found[name], comparison.ratio.get(name)) for name in runtimes)])
    last = [f"({run.geometric_mean[name]:.2f}x)" if name in run.geometric_mean else "" for name in runtimes]
    return ["model", *runtimes], [*rows, ["geometric mean", *last]]


def _cell(row: Row, ratio: float | None) -> str:
    if row.median_us is None:
        return "-"
    time = f"{row.median_us:.1f} us" if row.median_us < 1000 else f"{row.median_us / 1000:.2f} ms"
    return time if ratio is None else f"{time} ({ratio:.2f}x)"


def notes(run: Run) -> list[str]:
    """Why a runtime did not run some models, a line for each reason."""
    refused = defaultdict(list)
    for comparison in run.models:
        for row in comparison.rows:
            if row.median_us is None:
                refused[row.runtime, row.status].append(comparison.model)
    return [f"{runtime}: {status}: {', '.join(names)}" for (runtime, status), names in refused.items()]


def markdown(report: Report) -> str:
    """docs/benchmarks.md."""
    lines = ["# Benchmarks", "", "<!-- python -m benchmarks.compare --write -->", str(__doc__).strip()]
    for run in report.runs:
        header, rows = table(run)
        lines += ["", f"## Threads: {run.threads}", "", run.setting, ""]
        lines += [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
        lines += ["", *(f"- {note}" for note in notes(run)), "", f"![times faster]({plot_file(run).name})"]
    return "\n".join(lines).rstrip() + "\n"


def plot_file(run: Run) -> Path:
    """The plot of a run: how many times faster tvmopt is, model by model."""
    return REPORT.with_name(f"benchmarks_{run.threads}.svg")


def plot(run: Run) -> None:
    """Write ``plot_file``."""
    names = [comparison.model for comparison in run.models]
    ratios = {runtime: [comparison.ratio.get(runtime) for comparison in run.models] for runtime in run.geometric_mean}
    plots.bars(plot_file(run), f"tvmopt beside others, threads: {run.threads}", names, ratios)


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(DEFAULT), callback=listed, help="Names or architectures.")
@click.option("--vs", default=",".join(peers.NAMES), callback=listed, help="Runtimes.")
@click.option("--threads", default="1", callback=listed, help="Of one inference; 1,2 measures twice.")
@options.target
@options.as_json
@click.option("--write", is_flag=True, help=f"Write {REPORT.relative_to(data.ROOT)}.")
def main(names: list[str], vs: list[str], threads: list[str], target: str, as_json: bool, write: bool) -> None:
    with terminal.progress():
        report = Report([measure(expand(names), vs, int(count), target) for count in threads])
    if as_json:
        terminal.print_json(report)
    else:
        for run in report.runs:
            terminal.print_table(run.setting, *table(run))
            click.echo("\n".join(notes(run)))
    if write:
        REPORT.write_text(markdown(report))
        for run in report.runs:
            plot(run)


if __name__ == "__main__":
    main()

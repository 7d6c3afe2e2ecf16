"""Latency of the benchmark models beside other runtimes, measured in turn: ``python -m benchmarks.compare``.

The rules: one machine, one run, A B A B ..., the same file and input, batch 1, the same number of threads, each
runtime at its best public settings; medians, and their ratios. A model that a runtime refuses is listed as refused
and counts in no mean.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from statistics import geometric_mean
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

import tvmopt
from tvmopt import peers
from tvmopt.errors import TvmoptError

from . import data, models

if TYPE_CHECKING:
    from tvmopt.report.bench import Comparison

DEFAULT = [*models.MLPERF_TINY, "mobilenet_v2", "resnet50", "bert_tiny"]
REPORT = data.ROOT / "docs" / "benchmarks.md"


def expand(names: list[str]) -> list[str]:
    """Replace every built architecture by its quantized variants: "resnet50" -> "resnet50-u8-qdq", ..."""
    return [full for name in names for full in ([f"{name}-{v}" for v in models.VARIANTS.get(name, ())] or [name])]


def means(comparisons: list[Comparison]) -> dict[str, float]:
    """Geometric mean of how many times faster tvmopt is, by runtime, over the models that runtime ran."""
    ratios = defaultdict(list)
    for comparison in comparisons:
        for runtime, ratio in comparison.ratio.items():
            ratios[runtime].append(ratio)
    return {runtime: geometric_mean(values) for runtime, values in ratios.items()}


def rows(names: list[str], comparisons: list[Comparison]) -> list[list[str]]:
    """The table as text: a header, a row for each model, the means."""
    runtimes = [row.runtime for row in comparisons[0].rows]
    table = [["model", *(f"{runtime}, us" for runtime in runtimes), *(f"x {peer}" for peer in runtimes[1:])]]
    for name, comparison in zip(names, comparisons, strict=True):
        found = {row.runtime: row for row in comparison.rows}
        cells = [found[runtime] for runtime in runtimes]
        times = [row.status if row.median_us is None else f"{row.median_us:.1f}" for row in cells]
        ratios = [f"{comparison.ratio[peer]:.2f}" if peer in comparison.ratio else "-" for peer in runtimes[1:]]
        table.append([name, *times, *ratios])
    mean = means(comparisons)
    blank = [""] * len(runtimes)
    return [*table, ["geometric mean", *blank, *(f"{mean[p]:.2f}" if p in mean else "-" for p in runtimes[1:])]]


def setting(comparison: Comparison) -> str:
    """Machine, target, threads and versions of a run, one line."""
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    return f"{comparison.machine}; target {comparison.target}; threads {comparison.threads}; {versions}"


def markdown(names: list[str], runs: list[list[Comparison]]) -> str:
    """docs/benchmarks.md for runs with several thread counts."""
    lines = ["# Benchmarks", "", "Written by `python -m benchmarks.compare --write`; its docstring has the rules."]
    for comparisons in runs:
        header, *body = rows(names, comparisons)
        lines += ["", f"## {comparisons[0].threads} thread(s)", "", setting(comparisons[0]), ""]
        lines += [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *body)]
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--models", "names", default=",".join(DEFAULT), help="Names or architectures, comma-separated.")
@click.option("--vs", default=",".join(peers.NAMES), help="Runtimes, comma-separated.")
@click.option("--threads", default="1", help="Thread counts, comma-separated.")
@click.option("-t", "--target", default="host", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@click.option("--write", is_flag=True, help=f"Write {REPORT.relative_to(data.ROOT)}.")
def main(names: str, vs: str, threads: str, target: str, as_json: bool, write: bool) -> None:
    chosen = expand(names.split(","))
    progress = Console(stderr=True)
    runs = []
    try:
        for count in map(int, threads.split(",")):
            comparisons = []
            for name in chosen:
                with progress.status(f"{name}, threads {count}"):
                    comparisons.append(tvmopt.bench(models.get(name), target, vs=vs.split(","), threads=count))
            runs.append(comparisons)
    except TvmoptError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print(
            json.dumps([{"models": [asdict(c) for c in run], "geometric_mean": means(run)} for run in runs], indent=2)
        )
    else:
        for comparisons in runs:
            header, *body = rows(chosen, comparisons)
            table = Table(*header, caption=setting(comparisons[0]))
            for row in body:
                table.add_row(*row)
            Console().print(table)
    if write:
        REPORT.write_text(markdown(chosen, runs))


if __name__ == "__main__":
    main()

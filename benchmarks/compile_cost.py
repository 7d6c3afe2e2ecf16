"""Time and memory that compiling takes, every model in a fresh process."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

import tvmopt
from tvmopt.cli import options, terminal

from . import models
from .command import Command, listed

DEFAULT = ["kws", "mobilenet_v2-u8-qdq", "resnet50-s8-qdq"]


@dataclass(frozen=True)
class Cost:
    """Seconds from an ONNX file to an artifact, importing TVM included, and the process's peak memory in MiB."""

    model: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    models: list[Cost]


def measure(name: str, target: str = "host") -> Cost:
    """Compile a benchmark model in a process of its own."""
    path = models.get(name)
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        seconds, peak_mib = process.submit(_compile, path, target).result()
    return Cost(name, seconds, peak_mib)


def _compile(path: Path, target: str) -> tuple[float, float]:
    start = time.perf_counter()
    tvmopt.compile(path, target)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(DEFAULT), callback=listed, show_default=True, help="Names.")
@options.target
@options.as_json
def main(names: list[str], target: str, as_json: bool) -> None:
    with terminal.progress():
        report = Report([measure(name, target) for name in names])
    if as_json:
        terminal.print_json(report)
        return
    rows = [[cost.model, f"{cost.seconds:.1f}", f"{cost.peak_mib:.0f}"] for cost in report.models]
    terminal.print_table("compiling, one process each", ["model", "seconds", "peak MiB"], rows)


if __name__ == "__main__":
    main()

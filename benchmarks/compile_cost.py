"""Time and memory that compiling takes, every model in a fresh process: ``python -m benchmarks.compile_cost``."""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import tvmopt
from tvmopt.errors import TvmoptError

from . import models


@dataclass(frozen=True)
class Cost:
    """Seconds from an ONNX file to an artifact, importing TVM included, and the process's peak memory in MiB."""

    model: str
    seconds: float
    peak_mib: float


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


@click.command(help=__doc__)
@click.option("--models", "names", default="kws,mobilenet_v2-u8-qdq,resnet50-s8-qdq", help="Names, comma-separated.")
@click.option("-t", "--target", default="host", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
def main(names: str, target: str, as_json: bool) -> None:
    try:
        costs = [measure(name, target) for name in names.split(",")]
    except TvmoptError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))
        return
    table = Table("model", "seconds", "peak, MiB")
    for cost in costs:
        table.add_row(cost.model, f"{cost.seconds:.1f}", f"{cost.peak_mib:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""What calling a compiled model costs: one operator on 16 numbers, from C and from Python.

And a small model, end to end from Python, beside ONNX Runtime: there the call counts.
"""

from __future__ import annotations

import subprocess
import tempfile
import timeit
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

import tvmopt
from tvmopt.backends import link
from tvmopt.cli import options, terminal

from . import models
from .command import Command
from .models.graph import Graph

if TYPE_CHECKING:
    from tvmopt.report.bench import Comparison
    from tvmopt.runtime import Artifact

BATCHES, CALLS = 200, 500


@dataclass(frozen=True)
class Report:
    """What is printed as JSON: microseconds of one call of the one-operator model; the least of many batches.

    end_to_end : the small model.
    """

    c_us: float
    python_us: float
    end_to_end: Comparison


def one_operator() -> Artifact:
    """y = -x, float32 [1, 16]."""
    graph = Graph("negate")
    shape = (1, 16)
    y = graph.op("Neg", "y", graph.input("x", shape))
    return tvmopt.compile(graph.model(y, shape), "host")


def from_c(artifact: Artifact) -> float:
    """Microseconds of a call, in a loop of a C program."""
    source = Path(__file__).with_suffix(".c")
    compiler = link.compiler(tvmopt.target.get("host"))
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        artifact.save(Path(folder) / "model.so")
        flags = ["-std=c11", "-O2", "-I.", "-o", "overhead", "-Wl,-rpath,."]
        link.run([*compiler, *flags, str(source), "model.so"], Path(folder))
        done = subprocess.run(["./overhead"], cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout) / 1000


def from_python(artifact: Artifact) -> float:
    """Microseconds of a call of ``Artifact.run``."""
    inputs = {"x": np.zeros((1, 16), np.float32)}
    times = timeit.repeat(lambda: artifact.run(inputs), number=CALLS, repeat=BATCHES)
    return min(times) / CALLS * 1e6


@click.command(cls=Command, help=__doc__)
@click.option("--model", "name", default="kws", show_default=True, help="The small model.")
@options.as_json
def main(name: str, as_json: bool) -> None:
    with terminal.progress():
        artifact = one_operator()
        report = Report(from_c(artifact), from_python(artifact), tvmopt.bench(models.get(name)))
    if as_json:
        terminal.print_json(report)
        return
    rows = [["one operator, from C", f"{report.c_us:.3f}"], ["one operator, from Python", f"{report.python_us:.2f}"]]
    rows += [
        [f"{name}, {row.runtime}", f"{row.min_us:.1f}" if row.min_us else row.status] for row in report.end_to_end.rows
    ]
    terminal.print_table("microseconds of one call, at least", ["what", "us"], rows)


if __name__ == "__main__":
    main()

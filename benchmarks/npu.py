"""Models on NPUs: what is accelerated, whether the numbers agree with CPU kernels, and Vela's estimates of cycles.

Nothing is executed by an NPU: numbers are the TOSA reference model's, and cycles are Vela's estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import msgspec
import numpy as np

import tvmopt
from tvmopt import target as targets
from tvmopt.cli import options, terminal

from . import data, models
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "ad", "mobilenet_v2-s8-qdq", "efficientnet_lite0-s8-qdq"]
NPUS = [name for name in targets.names() if name.startswith("edge/ethos-")]


@dataclass(frozen=True)
class Estimate:
    """Vela's estimate of one inference, of all subgraphs."""

    target: str
    cycles: int
    npu_cycles: int
    milliseconds: float
    sram_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class Row:
    """One model.

    accelerated : share of multiply-accumulates.
    mismatches  : elements of outputs, of ``elements``, that differ from those of CPU kernels in fixed point;
    max_abs     : largest difference from outputs in the float mode.
    """

    model: str
    accelerated: float
    subgraphs: int
    samples: int
    elements: int
    mismatches: int
    max_abs: float
    estimates: list[Estimate]


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    rows: list[Row]


def measure(name: str, npus: list[str], samples: int) -> Row:
    """Compile a model for every NPU, and run it as one of them beside CPU kernels."""
    path = models.get(name)
    artifacts = [tvmopt.compile(path, npu) for npu in npus]
    here = targets.host()
    exact = tvmopt.compile(path, msgspec.structs.replace(here, requantize="fixed"))
    real = tvmopt.compile(path, here)
    elements, mismatches, largest = 0, 0, 0.0
    for feeds in data.samples(name, samples):
        fixed, float_mode = exact.run(feeds), real.run(feeds)
        for output, got in artifacts[0].run(feeds).items():
            elements += got.size
            mismatches += int(np.count_nonzero(got != fixed[output]))
            largest = max(largest, float(np.abs(got - float_mode[output]).max()))
    told = artifacts[0].manifest["accelerator"]
    estimates = [
        _estimate(npu, one.manifest["accelerator"]["estimates"]) for npu, one in zip(npus, artifacts, strict=True)
    ]
    share = told["accelerated_macs"] / told["macs"]
    return Row(name, share, len(told["subgraphs"]), samples, elements, mismatches, largest, estimates)


def _estimate(npu: str, subgraphs: dict[str, dict[str, float]]) -> Estimate:
    total = {key: sum(one[key] for one in subgraphs.values()) for key in next(iter(subgraphs.values()))}
    return Estimate(
        npu,
        int(total["cycles"]),
        int(total["npu_cycles"]),
        round(total["inference_us"] / 1000, 3),
        int(total["sram_bytes"]),
        int(total["weight_bytes"]),
    )


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@click.option("--targets", "npus", default=",".join(NPUS), callback=listed, show_default=True, help="Targets.")
@click.option("--samples", type=click.IntRange(min=1), default=50, show_default=True, help="Inputs to compare.")
@options.as_json
def main(names: list[str], npus: list[str], samples: int, as_json: bool) -> None:
    with terminal.progress():
        report = Report([measure(name, npus, samples) for name in names])
    if as_json:
        terminal.print_json(report)
        return
    rows = [
        [
            row.model,
            f"{row.accelerated:.2%}",
            str(row.subgraphs),
            f"{row.mismatches} / {row.elements}",
            f"{row.max_abs:.2g}",
        ]
        for row in report.rows
    ]
    header = ["model", "MACs", "subgraphs", "mismatches", "from float mode"]
    terminal.print_table(f"TOSA reference model beside CPU kernels, {samples} inputs", header, rows)
    cells = [
        [
            row.model,
            one.target.removeprefix("edge/"),
            f"{one.cycles:,}",
            f"{one.milliseconds}",
            f"{one.sram_bytes // 1024}",
        ]
        for row in report.rows
        for one in row.estimates
    ]
    terminal.print_table("Vela's estimates", ["model", "NPU", "cycles", "ms", "SRAM KiB"], cells)


if __name__ == "__main__":
    main()

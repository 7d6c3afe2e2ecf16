"""Accuracy on labelled data, and agreement with ONNX Runtime: ``python -m benchmarks.accuracy``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import tvmopt
from tvmopt.errors import TvmoptError
from tvmopt.peers.onnxruntime import Session

from . import data, models


@dataclass(frozen=True)
class Accuracy:
    """Shares of right top-1 answers on ``samples`` labelled inputs, and how often tvmopt and ONNX Runtime agree."""

    model: str
    samples: int
    onnxruntime_float: float
    onnxruntime: float | None
    tvmopt: float | None
    top1_agreement: float | None


def measure(name: str, target: str = "host") -> Accuracy:
    """Run "vww" or "ic" on all their labelled data."""
    path = models.get(name)
    result = tvmopt.verify(path, target, data=data.labelled_file(name), layer_samples=0)
    reference = Session(path.with_name(path.name.replace("_int8_qdq", "_float")))
    batch, labels = data.labelled(name)
    outputs = [next(iter(reference.run({"input_1": sample[None]}).values())) for sample in batch]
    right = float((np.concatenate(outputs).argmax(axis=1) == labels).mean())
    return Accuracy(name, len(batch), right, result.reference_accuracy, result.accuracy, result.top1_agreement)


@click.command(help=__doc__)
@click.option("-t", "--target", default="host", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
def main(target: str, as_json: bool) -> None:
    try:
        results = [asdict(measure(name, target)) for name in data.LABELLED]
    except TvmoptError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print(json.dumps(results, indent=2))
        return
    table = Table(*results[0])
    for result in results:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in result.values()))
    Console().print(table)


if __name__ == "__main__":
    main()

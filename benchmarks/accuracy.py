"""Top-1 accuracy on labelled data, and how often tvmopt and ONNX Runtime agree."""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.peers.onnxruntime import Session

from . import data, models
from .command import Command


@dataclass(frozen=True)
class Accuracy:
    """Shares of ``samples`` labelled inputs: right by each runtime, and with the same answer from both int8 ones."""

    model: str
    samples: int
    onnxruntime_float: float
    onnxruntime: float | None
    tvmopt: float | None
    top1_agreement: float | None


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    models: list[Accuracy]


def measure(name: str, target: str = "host") -> Accuracy:
    """Run "vww" or "ic" on all their labelled data."""
    path = models.get(name)
    result = tvmopt.verify(path, target, data=data.labelled_file(name), layer_samples=0)
    batch, labels = data.labelled(name)
    reference = Session(path.with_name(path.name.replace("_int8_qdq", "_float")))
    order = (0, 3, 1, 2) if name == "ic" else (0, 1, 2, 3)  # ic's float form takes channels first
    outputs = [next(iter(reference.run({"input_1": sample[None].transpose(order)}).values())) for sample in batch]
    right = float((np.concatenate(outputs).argmax(axis=1) == labels).mean())
    return Accuracy(name, len(batch), right, result.reference_accuracy, result.accuracy, result.top1_agreement)


@click.command(cls=Command, help=__doc__)
@options.target
@options.as_json
def main(target: str, as_json: bool) -> None:
    with terminal.progress():
        report = Report([measure(name, target) for name in data.LABELLED])
    if as_json:
        terminal.print_json(report)
        return
    columns = ["model", "samples", "ONNX Runtime float", "ONNX Runtime int8", "tvmopt", "top-1 agreement"]
    rows = [
        [
            m.model,
            str(m.samples),
            *(f"{v:.4f}" for v in (m.onnxruntime_float, m.onnxruntime, m.tvmopt, m.top1_agreement)),
        ]
        for m in report.models
    ]
    terminal.print_table("top-1 accuracy", columns, rows)


if __name__ == "__main__":
    main()

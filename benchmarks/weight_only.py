"""A product of a float vector with weights of 32, 8 and 4 bits, beside ONNX Runtime's MatMul and MatMulNBits.

One row of 4096 inputs by 4096 outputs, by default: what takes the time is reading the weights. "int8" after a name:
ONNX Runtime may quantize the vector to 8 bits (``accuracy_level = 4``); tvmopt computes in float32 either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import tvmopt
from tvmopt.cli import options, terminal

from .command import Command
from .models.graph import IR_VERSION, OPSET

INT8 = 4
"""``accuracy_level``: activations of 8 bits are accurate enough."""


@dataclass(frozen=True)
class Row:
    """Medians in microseconds, and the bytes of weights and scales."""

    weights: str
    bytes: int
    tvmopt_us: float
    onnxruntime_us: float


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    machine: str
    target: str
    threads: int
    shape: tuple[int, int, int]
    rows: list[Row]


def product(rows: int, length: int, outputs: int, bits: int, block: int, accuracy: int = 0) -> onnx.ModelProto:
    """x float32 [rows, length] -> y [rows, outputs]; blocks of ``block`` weights share a scale."""
    rng = np.random.default_rng(0)
    if bits == 32:
        weights = {"w": rng.normal(size=(length, outputs)).astype(np.float32)}
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
    else:
        blocks = length // block
        weights = {
            "w": rng.integers(0, 256, (outputs, blocks, block * bits // 8), np.uint8),
            "scales": rng.uniform(0.01, 0.1, outputs * blocks).astype(np.float32),
        }
        attributes = {"K": length, "N": outputs, "bits": bits, "block_size": block, "accuracy_level": accuracy}
        node = helper.make_node("MatMulNBits", ["x", *weights], ["y"], domain="com.microsoft", **attributes)
    given, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, size])
        for name, size in (("x", length), ("y", outputs))
    )
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "product", [given], [result], constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def measure(shape: tuple[int, int, int], block: int, target: str, threads: int) -> Iterator[tuple[str, str, Row]]:
    """Machine, target and row of every kind of weight."""
    kinds = [("32 bits", 32, 0), ("8 bits", 8, 0), ("4 bits", 4, 0), ("4 bits, int8", 4, INT8)]
    with TemporaryDirectory() as folder:
        for name, bits, accuracy in kinds:
            model = product(*shape, bits, block, accuracy)
            path = Path(folder) / "model.onnx"
            onnx.save(model, path)
            found = tvmopt.bench(path, target, threads=threads)
            times = {row.runtime: row.median_us for row in found.rows}
            stored = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
            yield found.machine, found.target, Row(name, stored, times["tvmopt"], times["onnxruntime"])


@click.command(cls=Command, help=__doc__)
@click.option("--rows", default=1, help="Vectors at a time.")
@click.option("--size", default=4096, help="Inputs and outputs.")
@click.option("--block", default=32, help="Weights that share a scale.")
@click.option("--threads", default=1, help="Of one inference.")
@options.target
@options.as_json
def main(rows: int, size: int, block: int, threads: int, target: str, as_json: bool) -> None:
    shape = (rows, size, size)
    with terminal.progress():
        machines, targets, found = zip(*measure(shape, block, target, threads), strict=True)
    report = Report(machines[0], targets[0], threads, shape, list(found))
    if as_json:
        terminal.print_json(report)
        return
    lines = [
        [row.weights, f"{row.bytes / 1e6:.1f} MB", f"{row.tvmopt_us:.0f} us", f"{row.onnxruntime_us:.0f} us",
         f"{row.onnxruntime_us / row.tvmopt_us:.2f}x"]
        for row in report.rows
    ]  # fmt: skip
    title = f"{report.machine}, target {report.target}, threads: {threads}; {rows} x {size} x {size}"
    terminal.print_table(title, ["weights", "size", "tvmopt", "onnxruntime", "times faster"], lines)


if __name__ == "__main__":
    main()

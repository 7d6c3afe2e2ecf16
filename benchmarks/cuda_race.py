"""int8 on an NVIDIA GPU beside torch: products of BERT-base's shapes, and networks. Needs the GPU, and torch.

Sides are timed in turn (A B A B ...) in bursts, at whose end the GPU has computed everything; what calling takes is
part of a time. Ours are default schedules; the weight of "int8 2:4" is pruned to two of every four, and multiplied so
where `compile` finds that it pays. torch: bf16 (networks channels last), and cuBLASLt's int8, as CUDA graphs. Never run
by us, for want of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import click
import numpy as np
import onnx

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.compression import Prune, patterns
from tvmopt.quant.regions import MatMul
from tvmopt.report import bench
from tvmopt.runtime import Artifact, cuda

from . import models, sparsity, torch_gpu, weight_only
from .command import Command, listed

ROWS = (1, 16, 128, 1024)
PRODUCTS = {"attention": (768, 768), "feed-forward in": (768, 3072), "feed-forward out": (3072, 768)}
"""Layers of BERT-base: elements of the reduction, columns."""

FEW_BITS = 4096, 4096
"""Elements of the reduction and columns of a product of floats with weights of 4 bits."""

ATTENTION = [(12, 128, 64), (12 * 32, 128, 64)]
"""Heads of a batch, tokens, elements of a head: BERT-base."""

NETWORKS = [("resnet50", "resnet50-s8-qdq", 32), ("resnet50", "resnet50-s8-qdq", 1)]
NETWORKS += [("mobilenet_v2", "mobilenet_v2-u8-qdq", 1)]
"""By torchvision's name, ours, and batch."""

BURST = 20
OURS = "int8"

Call = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A workload.

    us     : the median microseconds of every side.
    faster : how many times faster than each other side ours is, which is "int8".
    """

    name: str
    us: dict[str, float]
    faster: dict[str, float]


@dataclass(frozen=True)
class Report:
    """What is printed as JSON. gpu : its name; rows : one per workload."""

    gpu: str
    rows: list[Row]


def row(name: str, seconds: Mapping[str, list[float]]) -> Row:
    """A row of what bursts of every side took."""
    us = {side: median(times) / BURST * 1e6 for side, times in seconds.items()}
    return Row(name, us, {side: time / us[OURS] for side, time in us.items() if side != OURS})


def race(name: str, sides: Mapping[str, Call], wait: Call) -> Row:
    """Time the sides in turn."""

    def burst(call: Call) -> None:
        for _ in range(BURST):
            call()
        wait()

    return row(name, bench.interleave({side: partial(burst, call) for side, call in sides.items()}))


def two_of_four(case: MatMul) -> MatMul:
    """The same product with the two smaller ones of every four weights of a column 0."""
    assert case.weight is not None
    kept = patterns.kept(np.square(case.weight.T[None, ..., None].astype(np.float64)), Prune("2:4"))
    return replace(case, weight=case.weight * kept[0, ..., 0].T)


def batched(path: Path, batch: int) -> bytes:
    """A model of batch 1 for another one."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return onnx.shape_inference.infer_shapes(model, strict_mode=True).SerializeToString()


def call(artifact: Artifact) -> Call:
    """Runs it on inputs that are on the GPU."""
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    rng = np.random.default_rng(0)
    feeds = {spec.name: (rng.random(spec.shape) * 2).astype(spec.dtype) for spec in artifact.inputs}
    return partial(artifact.run, engine.upload(feeds))


def product(layer: str, rows: int, wait: Call) -> Row:
    """One layer with so many rows."""
    length, columns = PRODUCTS[layer]
    case = sparsity.region(length, columns, 1, "unstructured", 0)
    sides = {
        OURS: call(sparsity.compile_layer(case, (rows, length), "cuda/host")),
        "int8 2:4": call(sparsity.compile_layer(two_of_four(case), (rows, length), "cuda/host")),
        "torch bf16": torch_gpu.product(rows, length, columns),
        "torch int8": torch_gpu.integer_product(rows, length, columns),
    }
    return race(f"{layer}, {rows} x {length} to {columns}", sides, wait)


def attention(batch: int, tokens: int, width: int, wait: Call) -> Row:
    """Queries by keys of so many heads."""
    ours = tvmopt.compile(scores(batch, tokens, width), "cuda/host", io="int8")
    sides = {OURS: call(ours), "torch bf16": torch_gpu.batched_product(batch, tokens, width)}
    return race(f"scores, {batch} x {tokens} x {width}", sides, wait)


def scores(batch: int, tokens: int, width: int) -> bytes:
    """A product of two activations, 8 bits each."""
    text = f"""<ir_version: 9, opset_import: ["" : 17]>
    g (float[{batch},{tokens},{width}] a, float[{batch},{width},{tokens}] b) => (float[{batch},{tokens},{tokens}] y)
    <float s = {{0.02}}, uint8 z = {{128}}, float s_y = {{0.1}}> {{
        a_q = QuantizeLinear(a, s, z)
        b_q = QuantizeLinear(b, s, z)
        a_f = DequantizeLinear(a_q, s, z)
        b_f = DequantizeLinear(b_q, s, z)
        y_f = MatMul(a_f, b_f)
        y_q = QuantizeLinear(y_f, s_y, z)
        y = DequantizeLinear(y_q, s_y, z)
    }}"""
    return onnx.parser.parse_model(text).SerializeToString()


def few_bits(rows: int, wait: Call) -> Row:
    """Floats by weights of 4 bits, as MatMulNBits has them."""
    ours = tvmopt.compile(weight_only.product(rows, *FEW_BITS, 4, 32).SerializeToString(), "cuda/host")
    sides = {OURS: call(ours), "torch bf16": torch_gpu.product(rows, *FEW_BITS)}
    return race(f"weights of 4 bits, {rows} x {FEW_BITS[0]} to {FEW_BITS[1]}", sides, wait)


def network(name: str, own: str, batch: int, wait: Call) -> Row:
    """One network."""
    ours = tvmopt.compile(batched(models.get(own), batch), "cuda/host")
    return race(f"{name}, batch {batch}", {OURS: call(ours), "torch bf16": torch_gpu.network(name, batch)}, wait)


WORKLOADS: dict[str, Callable[[Call], Row]] = {
    **{f"{name} {batch}": partial(network, name, own, batch) for name, own, batch in NETWORKS},
    **{f"{layer} {rows}": partial(product, layer, rows) for rows in reversed(ROWS) for layer in PRODUCTS},
    **{f"scores {batch}": partial(attention, batch, *rest) for batch, *rest in ATTENTION},
    **{f"4 bits {rows}": partial(few_bits, rows) for rows in (1, 8)},
}
"""What is timed, by name; what tells most comes first."""


@click.command(cls=Command, help=__doc__)
@click.option("--workloads", default=",".join(WORKLOADS), callback=listed, show_default=True, help="Names.")
@options.as_json
def main(workloads: list[str], as_json: bool) -> None:
    if unknown := set(workloads) - set(WORKLOADS):
        raise click.UsageError(f"no workload '{min(unknown)}'; there are {', '.join(WORKLOADS)}")
    torch = torch_gpu.find()
    with terminal.progress():
        rows = [WORKLOADS[name](torch.cuda.synchronize) for name in workloads]
    report = Report(torch.cuda.get_device_name(), rows)
    if as_json:
        terminal.print_json(report)
        return
    terminal.print_table(f"beside torch on {report.gpu}", *table(report.rows))


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: microseconds, and how many times faster ours is."""
    sides = list(dict.fromkeys(side for each in rows for side in each.us))

    def cell(each: Row, side: str) -> str:
        if side not in each.us:
            return "-"
        return f"{each.us[side]:.1f}" + (f" ({each.faster[side]:.2f}x)" if side in each.faster else "")

    return ["workload", *sides], [[each.name, *(cell(each, side) for side in sides)] for each in rows]


if __name__ == "__main__":
    main()

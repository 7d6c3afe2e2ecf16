"""How close kernels come to what one core can do: multiply-accumulates and bytes a second, layer by layer.

A layer's bound is the longer of: its MACs at the peak rate of the CPU's widest int8 dot product; the bytes that it
must at least move (inputs, weights and output, each once) at the rate of copies within the second-level cache. Both
rates are measured here (ceilings.c). Kernels are timed one by one, with default schedules, on data that is in cache.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

import tvmopt
from tvmopt.backends import link
from tvmopt.cli import options, terminal
from tvmopt.errors import TvmoptError, UnsupportedError
from tvmopt.lowering.lower import functions
from tvmopt.passes import pipeline
from tvmopt.report import metrics
from tvmopt.target import Target
from tvmopt.tuning import extract, inputs, space
from tvmopt.tuning.local import LocalMeasurer
from tvmopt.tuning.task import Task

from . import data, models, plots
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "mobilenet_v2-u8-qdq", "resnet50-u8-qdq", "bert_tiny-u8-qdq"]
PLOT = data.ROOT / "docs" / "roofline.svg"
FURTHEST = 3


@dataclass(frozen=True)
class Ceilings:
    """Of one core: MACs per second, bytes per second of copies within the second-level cache and within memory."""

    macs: float
    cache_bytes: float
    memory_bytes: float


@dataclass(frozen=True)
class Layer:
    """A call of a kernel: its MACs, least bytes, time and bound.

    name : the ONNX value that it computes; kernel : operator and shapes.
    """

    name: str
    kernel: str
    macs: int
    bytes: int
    us: float
    bound_us: float


@dataclass(frozen=True)
class Roof:
    """A model's layers.

    attained : share of the layers' time that their bounds take.
    furthest : the layers that lose the most time against their bounds, most first.
    """

    model: str
    attained: float
    furthest: list[str]
    layers: list[Layer]


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    target: str
    ceilings: Ceilings
    models: list[Roof]


def ceilings() -> Ceilings:
    """Measure what this machine's core can do.

    Raises UnsupportedError where ceilings.c does not know the CPU's dot product.
    """
    target = tvmopt.target.get("host")
    source = Path(__file__).with_name("ceilings.c")
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        command = [*link.compiler(target), "-O2", "-march=native", "-o", "ceilings", str(source)]
        try:
            link.run(command, Path(folder))
        except TvmoptError as error:
            raise UnsupportedError(f"ceilings.c: {error}") from None
        done = subprocess.run(["./ceilings"], cwd=folder, capture_output=True, text=True, check=True)
    return Ceilings(*map(float, done.stdout.split()))


def _plain(name: str) -> str:
    """A tensor's name as TVM's builder spells it."""
    return re.sub(r"\W", "_", name)


def measure(name: str, top: Ceilings) -> Roof:
    """Time every kernel of a model that has a schedule rule with decisions."""
    target = tvmopt.target.get("host")
    model = pipeline.run(tvmopt.load(models.get(name)))
    known = {_plain(layer.name): layer for layer in metrics.layers(model, {})}
    mod, _ = functions(model.mod, target)
    tasks = extract.of_module(mod, target)
    times = _times(tasks.values(), target)
    layers = []
    products = {_plain(str(result)): str(product) for result, product in dict(mod.get_attr("tvmopt.products")).items()}
    for call, tensor in extract.called(mod):
        layer, task = known.get(_plain(products.get(_plain(tensor), tensor))), tasks.get(call.args[0].name_hint)
        if layer is not None and task is not None and task.workload in times:
            moved = sum(buffer.nbytes for buffer in inputs.buffers(task.func))
            bound = max(layer.macs / top.macs, moved / top.cache_bytes) * 1e6
            layers.append(Layer(layer.name, task.name, layer.macs, moved, times[task.workload], bound))
    layers.sort(key=lambda layer: layer.bound_us - layer.us)
    attained = sum(layer.bound_us for layer in layers) / sum(layer.us for layer in layers)
    return Roof(name, attained, [layer.name for layer in layers[:FURTHEST]], layers)


def _times(tasks: Iterable[Task], target: Target) -> dict[str, float]:
    """Microseconds of default schedules, by workload."""
    each = list({task.workload: task for task in tasks}.values())
    with closing(LocalMeasurer(target)) as measurer:
        results = list(measurer.measure([(task, space.default(task)) for task in each]))
    return {each[at].workload: median(result.seconds) * 1e6 for at, result in results if result.status == "ok"}


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@options.as_json
@click.option("--write", is_flag=True, help=f"Write {PLOT.relative_to(data.ROOT)}.")
def main(names: list[str], as_json: bool, write: bool) -> None:
    with terminal.progress():
        top = ceilings()
        report = Report(tvmopt.target.get("host").name, top, [measure(name, top) for name in names])
    if write:
        points = {
            roof.model: [(x.macs / x.bytes, x.macs / x.us * 1e6) for x in roof.layers if x.macs]
            for roof in report.models
        }
        plots.roofline(PLOT, report.target, points, top.macs, {"cache": top.cache_bytes, "memory": top.memory_bytes})
    if as_json:
        terminal.print_json(report)
        return
    macs, cache, memory = (f"{rate / 1e9:.0f}" for rate in (top.macs, top.cache_bytes, top.memory_bytes))
    title = f"{macs} GMAC/s; copies move {cache} GB/s in cache, {memory} beyond"
    rows = [
        [roof.model, f"{roof.attained:.0%}", layer.name, layer.kernel, f"{layer.us:.1f}", f"{layer.bound_us:.1f}"]
        for roof in report.models
        for layer in roof.layers[:FURTHEST]
    ]
    terminal.print_table(title, ["model", "of its bound", "furthest", "kernel", "us", "bound"], rows)


if __name__ == "__main__":
    main()

"""tvmopt demo: the whole job on the bundled model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import click

from . import inspect, options, terminal, verify


@click.command("demo")
@options.target
@options.threads
def command(target: str, threads: int) -> None:
    """Inspect, compile, check and time the bundled model, beside ONNX Runtime and its float form."""
    from .. import api, demo
    from ..peers import onnxruntime
    from ..report import accuracy, bench, samples

    _title("1. What is in the model")
    with terminal.progress():
        model = api.load(demo.INT8_MODEL)
        found = api.inspect(model)
    inspect.show(found)

    _title(f"2. Compiled for {target}, saved and loaded again")
    with tempfile.TemporaryDirectory() as folder, terminal.progress():
        path = Path(folder) / "digits.so"
        api.compile(model, target, threads=threads).save(path)
        artifact, size = api.open(path), path.stat().st_size
    click.echo(f"artifact      {size:,} bytes")

    _title("3. Does it give ONNX Runtime's answers?")
    with terminal.progress():
        checked = api.verify(model, target, data=demo.HELD_OUT, threads=threads)
    verify.show(checked)

    _title("4. Side by side")
    with terminal.progress():
        data = samples.read(demo.HELD_OUT, model.inputs, {})
        float_accuracy = accuracy.measure(onnxruntime.Session(demo.FLOAT_MODEL), data)
        float_model = api.inspect(demo.FLOAT_MODEL)
        feeds = next(iter(data))
        times = bench.interleave(
            {
                "tvmopt": lambda: artifact.run(feeds),
                "int8": onnxruntime.runner(demo.INT8_MODEL, feeds, threads),
                "float": onnxruntime.runner(demo.FLOAT_MODEL, feeds, threads),
            }
        )
    rows = [
        ("tvmopt, int8", checked.accuracy, size, found.macs_after_folding, found.weight_bytes_after_folding, "tvmopt"),
        (
            "ONNX Runtime, int8",
            checked.reference_accuracy,
            _size(demo.INT8_MODEL),
            found.macs,
            found.weight_bytes,
            "int8",
        ),
        (
            "ONNX Runtime, float",
            float_accuracy,
            _size(demo.FLOAT_MODEL),
            float_model.macs,
            float_model.weight_bytes,
            "float",
        ),
    ]
    terminal.print_table(
        f"digits, {len(data)} held-out images, {threads} thread(s), medians measured in turn",
        ["runtime", "accuracy", "file bytes", "MACs", "weight bytes", "latency us"],
        [
            [name, f"{right:.4f}", f"{file:,}", f"{macs:,}", f"{weights:,}", f"{median(times[key]) * 1e6:.1f}"]
            for name, right, file, macs, weights, key in rows
        ],
    )


def _title(text: str) -> None:
    click.echo(f"\n{text}")


def _size(path: Path) -> int:
    return path.stat().st_size

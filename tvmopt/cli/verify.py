"""tvmopt verify: is the compiled model right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import accelerator, options, terminal

if TYPE_CHECKING:
    from ..report.verify import Verification


@click.command("verify")
@options.model
@options.target
@click.option("--data", type=options.file, help="An .npz file: arrays by input name, or images, and maybe labels.")
@click.option(
    "--samples", type=click.IntRange(min=1), default=16, show_default=True, help="Random inputs, without --data."
)
@click.option(
    "--layer-samples", type=click.IntRange(min=0), default=8, show_default=True, help="Samples to compare by layer."
)
@options.threads
@options.bindings
@options.sparsity
@options.records
@options.as_json
def command(
    model: Path,
    target: str,
    data: Path | None,
    samples: int,
    layer_samples: int,
    threads: int,
    bindings: options.Bindings,
    sparsity: bool,
    records: Path | None,
    as_json: bool,
) -> None:
    """Compare with ONNX Runtime, end to end and layer by layer.

    A layer is a quantized tensor. Both sides compute it from ONNX Runtime's values of the tensors before it, so
    a difference is that layer's own. uint8 images for a float input are given as 0..255 or divided by 255,
    whichever the range of the input's quantization asks for.
    """
    from .. import api

    with terminal.progress():
        result = api.verify(
            api.load(model, **bindings),
            target,
            data=data,
            samples=samples,
            layer_samples=layer_samples,
            threads=threads,
            sparsity=sparsity,
            records=records,
        )
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


def show(result: Verification) -> None:
    """Print the layers that differ, and the sums."""
    differ = [layer for layer in result.layers if not layer.exact]
    if differ:
        rows = [
            [
                layer.name,
                layer.op,
                str(layer.max_lsb),
                f"{layer.mean_lsb:.2g}",
                f"{layer.mismatches} / {layer.elements}",
            ]
            for layer in differ
        ]
        terminal.print_table("layers that differ", ["tensor", "ops", "max LSB", "mean LSB", "elements"], rows)
    click.echo(f"layers        {result.exact_ops} of {len(result.layers)} equal to {result.reference}, bit for bit")
    if result.first_difference is not None:
        click.echo(f"              first that differs: {result.first_difference}")
    for output in result.outputs:
        lsb = "" if output.max_lsb is None else f" ({output.max_lsb:.0f} LSB)"
        click.echo(f"output        {output.name}: differs by at most {output.max_abs:.3g}{lsb}")
    if result.top1_agreement is not None:
        click.echo(f"top-1         agrees on {result.top1_agreement:.2%} of {result.samples} samples ({result.data})")
    if result.accuracy is not None:
        click.echo(f"accuracy      {result.accuracy:.4f}, ONNX Runtime {result.reference_accuracy:.4f}")
    for line in accelerator.lines(result.accelerator or {}):
        click.echo(line)

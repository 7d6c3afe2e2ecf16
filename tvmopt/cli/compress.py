"""tvmopt compress: a model to a smaller or sparser one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ..compression.config import PATTERNS, Quantize
from . import options, terminal

if TYPE_CHECKING:
    from ..compression import Compression


@click.command("compress")
@options.model
@click.option("-o", "--output", required=True, type=options.file, help="The ONNX file to write.")
@click.option("--prune", metavar="PATTERN", help=f"Set the smallest weights of each layer to zero: {PATTERNS}.")
@click.option("--quantize", type=click.Choice(["int8", "uint8"]), help="What activations become; weights become int8.")
@click.option("--calibration", type=options.file, help="An .npz file of inputs for --quantize.")
@click.option("--data", type=options.file, help="An .npz file of inputs and labels: measure accuracy before and after.")
@options.bindings
@options.as_json
def command(
    model: Path,
    output: Path,
    prune: str | None,
    quantize: Literal["int8", "uint8"] | None,
    calibration: Path | None,
    data: Path | None,
    bindings: options.Bindings,
    as_json: bool,
) -> None:
    """Prune a float or QDQ model by magnitude, quantize a float one, or both, and write it as ONNX.

    Nothing is trained: what pruning costs in accuracy is not won back by fine-tuning. ONNX Runtime quantizes.
    """
    from .. import api

    with terminal.progress():
        result = api.compress(
            api.load(model, **bindings), output, prune=prune, quantize=_quantize(quantize, calibration), data=data
        )
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


def _quantize(activations: Literal["int8", "uint8"] | None, calibration: Path | None) -> Quantize | None:
    from ..errors import InputError

    if (activations is None) != (calibration is None):
        given, missing = ("--calibration", "--quantize") if activations is None else ("--quantize", "--calibration")
        raise InputError(f"{given} needs {missing}")
    return None if activations is None or calibration is None else Quantize(activations, calibration)


def show(result: Compression) -> None:
    """Print what changed."""
    share_before, share_after = (
        count / max(result.weights, 1) for count in (result.zero_weights_before, result.zero_weights_after)
    )
    click.echo(
        f"{result.output}: pruned {result.prune or 'nothing'}, quantized {result.quantize or 'nothing'}\n"
        f"layers        {result.pruned_layers} of {result.layers} pruned\n"
        f"zeros         {share_before:.1%} -> {share_after:.1%} of {result.weights:,} weights\n"
        f"file bytes    {result.bytes_before:,} -> {result.bytes_after:,}\n"
        f"MACs          {result.macs:,}, {result.macs_after_folding:,} after folding dead channels"
    )
    if result.data is not None:
        before, after = (
            "unknown" if value is None else f"{value:.4f}" for value in (result.accuracy_before, result.accuracy_after)
        )
        click.echo(f"accuracy      {before} -> {after} on {result.data}, without fine-tuning")

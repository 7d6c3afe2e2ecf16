"""tvmopt inspect: what is in a model, and what will become of it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..report.inspect import Inspection


@click.command("inspect")
@options.model
@click.option("-t", "--target", help="Tell which weights its kernels take as sparse, and why not the others.")
@options.bindings
@options.sparsity
@options.as_json
def command(model: Path, target: str | None, bindings: options.Bindings, sparsity: bool, as_json: bool) -> None:
    """Tell which ops run in int8 and which do not and why, MACs, bytes, zeros."""
    from .. import api

    with terminal.progress():
        result = api.inspect(api.load(model, **bindings), target, sparsity=sparsity)
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


def show(result: Inspection) -> None:
    """Print the ops and the sums."""
    rows = [
        [op.name, op.op, op.where, *_counts(op.macs, op.weight_bytes, op.zero_weights, op.dead_channels), op.reason]
        for op in result.ops
    ]
    columns = ["tensor", "op", "runs in", "MACs", "weight bytes", "zeros", "dead channels", "why not int8"]
    if result.target:
        columns.append(f"weight on {result.target}")
        rows = [[*row, op.format] for row, op in zip(rows, result.ops, strict=True)]
    terminal.print_table(result.model, columns, rows)
    click.echo(
        f"ops           {result.quantized_ops} in int8, {result.float_ops} in float\n"
        f"MACs          {result.macs:,}, {result.macs_after_folding:,} after folding dead channels\n"
        f"weight bytes  {result.weight_bytes:,}, {result.weight_bytes_after_folding:,} after folding\n"
        f"arena         {result.peak_bytes:,} bytes at least, {result.peak_bytes_after_folding:,} after folding\n"
        f"zeros         {result.zero_fraction:.1%} of the weights, {result.dead_channels} dead channels"
    )


def _counts(*numbers: int) -> list[str]:
    return [f"{number:,}" if number else "" for number in numbers]

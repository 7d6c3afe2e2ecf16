"""tvmopt inspect: what is in a model, and what will become of it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..report.inspect import Inspection
    from ..report.metrics import Layer


@click.command("inspect")
@options.model
@click.option("-t", "--target", help="Tell which weights its kernels take as sparse, and why not the others.")
@options.bindings
@options.sparsity
@options.as_json
def command(model: Path, target: str | None, bindings: options.Bindings, sparsity: bool, as_json: bool) -> None:
    """Tell which ops run in int8 and which do not and why, MACs, bytes, zeros: where they are, and what they save."""
    from .. import api

    with terminal.progress():
        result = api.inspect(api.load(model, **bindings), target, sparsity=sparsity)
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


def show(result: Inspection) -> None:
    """Print the ops, what is pruned of them, and the sums."""
    ops = [[op.name, op.op, op.where, *_counts(op.macs, op.weight_bytes), op.reason] for op in result.ops]
    terminal.print_table(result.model, ["tensor", "op", "runs in", "MACs", "weight bytes", "why not int8"], ops)
    if pruned := [_pruned(op) for op in result.ops if _is_pruned(op)]:
        columns = ["tensor", "channels folded", "zeros left", "of weights", "N:M", "dead channels", "why they stay"]
        columns.append(f"weight on {result.target}")
        told = [at for at in range(len(columns)) if any(row[at] for row in pruned)]
        click.echo()
        rows = [[row[at] for at in told] for row in pruned]
        terminal.print_table("pruning, after folding dead channels", [columns[at] for at in told], rows)
    if pruned and result.skippable:
        click.echo()
        rows = [[how, *_counts(saved.macs, saved.weight_bytes)] for how, saved in result.skippable.items()]
        columns = ["zeros left, outputs x inputs", "MACs", "weight bytes"]
        terminal.print_table("what it would save to skip them all", columns, rows)
    click.echo(
        f"\nops           {result.quantized_ops} in int8, {result.float_ops} in float\n"
        f"MACs          {result.macs:,}, {result.macs_after_folding:,} after folding dead channels\n"
        f"weight bytes  {result.weight_bytes:,}, {result.weight_bytes_after_folding:,} after folding\n"
        f"arena         {result.peak_bytes:,} bytes at least, {result.peak_bytes_after_folding:,} after folding\n"
        f"zeros         {result.zero_fraction:.1%} of the weights, {result.dead_channels} dead channels"
    )


def _is_pruned(op: Layer) -> bool:
    """Whether there is something to tell: a few zeros are in every weight."""
    return bool(op.removed_channels or op.kept_channels or op.dead_channels or 4 * op.zero_weights > op.weights)


def _pruned(op: Layer) -> list[str]:
    share = f"{op.zero_weights / op.weights:.1%}" if op.zero_weights else ""
    removed, zeros, dead = _counts(op.removed_channels, op.zero_weights, op.dead_channels)
    return [op.name, removed, zeros, share, op.pattern, dead, op.kept_channels, op.format]


def _counts(*numbers: int) -> list[str]:
    return [f"{number:,}" if number else "" for number in numbers]

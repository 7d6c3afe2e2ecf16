"""tvmopt estimate: what does a model cost on an accelerator that is simulated?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..report.estimate import Estimate


@click.command("estimate")
@options.model
@options.target
@options.shapes
@options.sparsity
@options.as_json
def command(model: Path, target: str, shapes: options.Shapes, sparsity: bool, as_json: bool) -> None:
    """Cycles, stalls, traffic and utilisation of every layer, on a target whose accelerator is simulated."""
    from .. import api

    with terminal.progress():
        result = api.estimate(api.load(model, dict(shapes)), target, sparsity=sparsity)
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


def show(result: Estimate) -> None:
    """Print the layers, and the sums."""
    rows = [
        [
            *(layer.name, layer.kind, f"{layer.macs:,}"),
            *(f"{cycles:,}" for cycles in (layer.cycles, layer.stall_cycles)),
            f"{layer.utilisation:.1%}",
            f"{layer.dram_read_bytes + layer.dram_write_bytes:,}",
            f"{layer.chip_read_bytes + layer.chip_write_bytes:,}",
        ]
        for layer in result.layers
    ]
    columns = ["tensor", "op", "MACs", "cycles", "stalled", "use", "DRAM bytes", "chip bytes"]
    terminal.print_table(f"{result.model} on {result.target}", columns, rows)
    for name, reason in result.host_reasons.items():
        click.echo(f"on the host   {name}: {reason}")
    click.echo(
        f"latency       {result.latency_us:,.1f} us ({result.method})\n"
        f"cycles        {result.cycles:,}: array {result.array_cycles:,}, vector unit {result.vector_cycles:,}, "
        f"stalled {result.stall_cycles:,}\n"
        f"MACs          {result.macs:,}, {result.utilisation:.1%} of what the array could do\n"
        f"bytes         DRAM {result.dram_read_bytes:,} read, {result.dram_write_bytes:,} written; "
        f"on chip {result.chip_read_bytes:,} read, {result.chip_write_bytes:,} written; "
        f"sums {result.accumulator_bytes:,}"
    )

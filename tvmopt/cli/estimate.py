"""tvmopt estimate: what does a model cost on an accelerator?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import accelerator, options, terminal

if TYPE_CHECKING:
    from ..backends.npu.expected import Expected
    from ..report.estimate import Estimate


@click.command("estimate")
@options.model
@options.target
@options.bindings
@options.sparsity
@options.as_json
def command(model: Path, target: str, bindings: options.Bindings, sparsity: bool, as_json: bool) -> None:
    """What every layer costs on a target's accelerator: simulated, or on an Ethos-U as Vela estimates it."""
    from .. import api
    from ..report.estimate import Estimate

    with terminal.progress():
        result = api.estimate(api.load(model, **bindings), target, sparsity=sparsity)
    if as_json:
        terminal.print_json(result)
    elif isinstance(result, Estimate):
        show(result)
    else:
        show_expected(result)


def show_expected(result: Expected) -> None:
    """Print what Vela estimates: the layers, and the sums."""
    rows = [
        [
            *(layer.name, layer.op, f"{layer.macs:,}", f"{layer.cycles:,}", f"{layer.npu_cycles:,}"),
            *(f"{cycles:,}" for cycles in (layer.sram_cycles, layer.dram_cycles, layer.flash_cycles)),
            f"{layer.utilisation:.1%}",
        ]
        for layer in result.layers
    ]
    columns = ["tensor", "op", "MACs", "cycles", "NPU", "SRAM", "DRAM", "flash", "use"]
    terminal.print_table(f"{result.model} on {result.target}", columns, rows)
    for line in accelerator.host_lines(result.host_reasons):
        click.echo(line)
    click.echo(
        f"{result.method}:\n"
        f"latency       {result.latency_us:,.1f} us\n"
        f"cycles        {result.cycles:,}: the NPU at work {result.npu_cycles:,}\n"
        f"MACs          {result.macs:,} by the NPU, {result.host_macs:,} by its host"
    )
    for name, one in result.subgraphs.items():
        click.echo(
            f"bytes         {name}: SRAM {one.sram_bytes:,}, DRAM {one.dram_bytes:,}, flash {one.flash_bytes:,}; "
            f"weights, compressed {one.weight_bytes:,}"
        )


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
    for line in accelerator.host_lines(result.host_reasons):
        click.echo(line)
    click.echo(
        f"latency       {result.latency_us:,.1f} us ({result.method})\n"
        f"cycles        {result.cycles:,}: array {result.array_cycles:,}, vector unit {result.vector_cycles:,}, "
        f"stalled {result.stall_cycles:,}\n"
        f"MACs          {result.macs:,}, {result.utilisation:.1%} of what the array could do\n"
        f"bytes         DRAM {result.dram_read_bytes:,} read, {result.dram_write_bytes:,} written; "
        f"on chip {result.chip_read_bytes:,} read, {result.chip_write_bytes:,} written; "
        f"sums {result.accumulator_bytes:,}"
    )

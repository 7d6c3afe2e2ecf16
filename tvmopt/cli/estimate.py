"""tvmopt estimate: what does a model cost on a device that is not at hand?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import accelerator, options, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..backends.npu.expected import Expected
    from ..report.cpu import CpuEstimate
    from ..report.estimate import Estimate


@click.command("estimate")
@options.model
@options.target
@options.bindings
@options.sparsity
@options.compress_weights
@options.as_json
def command(
    model: Path, target: str, bindings: options.Bindings, sparsity: bool, compress_weights: bool, as_json: bool
) -> None:
    """What one inference costs, layer by layer: time, energy, memory.

    A systolic array is simulated, an Ethos-U as Vela estimates it; a microcontroller's instructions are counted in its
    emulator.
    """
    from .. import api
    from ..report.cpu import CpuEstimate
    from ..report.estimate import Estimate

    with terminal.progress():
        loaded = api.load(model, **bindings)
        result = api.estimate(loaded, target, sparsity=sparsity, compress_weights=compress_weights)
    if as_json:
        terminal.print_json(result)
    elif isinstance(result, CpuEstimate):
        show_cpu(result)
    elif isinstance(result, Estimate):
        show(result)
    else:
        show_expected(result)
    if not as_json:
        show_unknown(result.unknown)


def show_unknown(unknown: Mapping[str, str]) -> None:
    """Print why there are no such numbers, a line for each reason."""
    for reason in dict.fromkeys(unknown.values()):
        names = [name for name, why in unknown.items() if why == reason]
        click.echo(f"unknown       {', '.join(names)}: {reason}")


def show_cpu(result: CpuEstimate) -> None:
    """Print the layers, and the sums."""
    rows = [
        [
            *(layer.name, layer.op, f"{layer.macs:,}" if layer.macs else ""),
            "-" if layer.instructions is None else f"{layer.instructions:,}",
            *("-" if cost is None else f"{cost:,.1f}" for cost in (layer.latency_us, layer.energy_uj)),
        ]
        for layer in result.layers
    ]
    columns = ["tensor", "op", "MACs", "instructions", "us", "uJ"]
    terminal.print_table(f"{result.model} on {result.target}", columns, rows)
    click.echo(f"{result.method}:")
    if result.latency_us is not None and result.energy_uj is not None:
        click.echo(f"latency       {result.latency_us:,.1f} us\nenergy        {result.energy_uj:,.1f} uJ")
    if result.instructions is not None:
        click.echo(f"instructions  {result.instructions:,}")
    click.echo(f"MACs          {result.macs:,}")
    if result.flash_bytes is not None:
        click.echo(f"bytes         flash {result.flash_bytes:,}, RAM {result.ram_bytes:,}")


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
            "-" if layer.energy_uj is None else f"{layer.energy_uj:,.2f}",
        ]
        for layer in result.layers
    ]
    columns = ["tensor", "op", "MACs", "cycles", "stalled", "use", "DRAM bytes", "chip bytes", "uJ"]
    terminal.print_table(f"{result.model} on {result.target}", columns, rows)
    for line in accelerator.host_lines(result.host_reasons):
        click.echo(line)
    energy = "" if result.energy_uj is None else f"energy        {result.energy_uj:,.2f} uJ\n"
    click.echo(
        f"latency       {result.latency_us:,.1f} us ({result.method})\n{energy}"
        f"cycles        {result.cycles:,}: array {result.array_cycles:,}, vector unit {result.vector_cycles:,}, "
        f"stalled {result.stall_cycles:,}\n"
        f"MACs          {result.macs:,}, {result.utilisation:.1%} of what the array could do\n"
        f"bytes         DRAM {result.dram_read_bytes:,} read, {result.dram_write_bytes:,} written; "
        f"on chip {result.chip_read_bytes:,} read, {result.chip_write_bytes:,} written; "
        f"sums {result.accumulator_bytes:,}"
    )

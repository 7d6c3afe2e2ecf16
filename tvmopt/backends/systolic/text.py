"""What people read of command streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...runtime.systolic import Cost, Program, costs


def write(programs: Mapping[str, Program], path: Path) -> None:
    """Write the text of the command streams, with what they cost."""
    text = "\n".join(f"## {name}\n{_table(costs(program))}\n{program.text()}" for name, program in programs.items())
    path.write_text(text, encoding="utf-8")


def _table(layers: Sequence[Cost]) -> str:
    """One line per layer, as comments."""
    columns = "#     cycles  array   vector  stalled    use  DRAM bytes  chip bytes      sums  layer"
    rows = [
        f"# {c.cycles:>10} {c.array_cycles:>6} {c.vector_cycles:>8} {c.stall_cycles:>8} {c.utilisation:>6.1%} "
        f"{c.dram_read_bytes + c.dram_write_bytes:>11} {c.chip_read_bytes + c.chip_write_bytes:>11} "
        f"{c.accumulator_bytes:>9}  {c.name}: {c.kind}, {c.macs} MACs"
        for c in layers
    ]
    return "\n".join([columns, *rows])

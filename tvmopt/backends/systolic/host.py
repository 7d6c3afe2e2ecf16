"""The host's side of simulated accelerators: C functions that hand tensors to the simulator, and what people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...runtime.systolic import Cost, Program, costs
from .. import source
from ..image import Image

FILE = "simulated.c"
EXPORT = "tvmopt_model_accelerator"
"""The variable that the simulator puts its address into."""


def write(image: Image, programs: Mapping[str, Program], folder: Path) -> None:
    """Write ``simulated.c`` and ``<name>.stream.txt`` into ``folder``."""
    by_call = zip(image.program.calls, image.symbols, strict=True)
    symbols = {call.kernel: symbol for call, symbol in by_call if symbol is not None}
    functions = [_function(symbols[name], index, program) for index, (name, program) in enumerate(programs.items())]
    source.fill(FILE, folder / FILE, functions="\n\n".join(functions), **source.header(image))
    text = "\n".join(f"## {name}\n{_table(costs(program))}\n{program.text()}" for name, program in programs.items())
    (folder / f"{image.name}.stream.txt").write_text(text, encoding="utf-8")


def _function(symbol: str, index: int, program: Program) -> str:
    takes = [f"const void *x{i}" for i in range(len(program.inputs))]
    gives = [f"void *y{i}" for i in range(len(program.outputs))]
    reads, writes = (", ".join(parameter.split("*")[1] for parameter in some) for some in (takes, gives))
    return (
        f"int32_t {symbol}({', '.join([*takes, *gives])}) {{\n"
        f"  const void *const inputs[] = {{{reads}}};\n"
        f"  void *const outputs[] = {{{writes}}};\n"
        f"  return {EXPORT} ? {EXPORT}({index}, inputs, outputs) : -1;\n"
        "}"
    )


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

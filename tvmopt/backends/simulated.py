"""C functions for the subgraphs of an accelerator, which hand their tensors to what simulates it."""

from __future__ import annotations

from pathlib import Path

from . import source
from .image import Image
from .program import Call

FILE = "simulated.c"
EXPORT = "tvmopt_model_accelerator"
"""The variable that the simulator puts its address into."""


def subgraphs(image: Image) -> dict[str, Call]:
    """The calls of subgraphs, by their C function; in order."""
    by_call = zip(image.program.calls, image.symbols, strict=True)
    return {symbol: call for call, symbol in by_call if call.external and symbol is not None}


def write(image: Image, folder: Path) -> None:
    """Write ``simulated.c`` into ``folder``."""
    functions = [_function(symbol, i, call) for i, (symbol, call) in enumerate(subgraphs(image).items())]
    source.fill(FILE, folder / FILE, functions="\n\n".join(functions), **source.header(image))


def _function(symbol: str, number: int, call: Call) -> str:
    takes = [f"const void *x{i}" for i in range(len(call.reads))]
    gives = [f"void *y{i}" for i in range(len(call.writes))]
    reads, writes = (", ".join(parameter.split("*")[1] for parameter in some) for some in (takes, gives))
    return (
        f"int32_t {symbol}({', '.join([*takes, *gives])}) {{\n"
        f"  const void *const inputs[] = {{{reads}}};\n"
        f"  void *const outputs[] = {{{writes}}};\n"
        f"  return {EXPORT} ? {EXPORT}({number}, inputs, outputs) : -1;\n"
        "}"
    )

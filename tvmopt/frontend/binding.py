"""How to give an input a shape or a value, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def hint(name: str, dims: Sequence[int | str]) -> str:
    """Tell how to bind the symbolic dimensions of an input, with 1 for each."""
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
    text = ",".join(map(str, shape))
    return f"bind them, on the command line as --shape {name}={text}, in Python as shapes={{'{name}': {shape}}}"


def constant_hint(*values: ir.Value) -> str:
    """Tell which values have to be constants; and how, where they are computed from inputs of few dimensions alone."""
    names = ", ".join(f"'{value.name}'" for value in values)
    text = f"it may be supported when {names} is a constant"
    inputs = [value for value in dict.fromkeys(_sources(values)) if value.is_graph_input()]
    if not inputs or any(value.shape is None or len(value.shape) > 1 for value in inputs):
        return text
    options = " ".join(f"--constant {value.name}=VALUE" for value in inputs)
    entries = ", ".join(f"'{value.name}': VALUE" for value in inputs)
    return f"{text}: on the command line {options}, in Python constants={{{entries}}}"


def _sources(values: Sequence[ir.Value | None]) -> Iterator[ir.Value]:
    """What values are computed from, themselves included."""
    seen: set[ir.Value] = set()
    pending = [*values]
    while pending:
        value = pending.pop()
        if value is None or value in seen:
            continue
        seen.add(value)
        yield value
        node = value.producer()
        pending += () if node is None else node.inputs

"""How to give an input a shape, for people."""

from __future__ import annotations

from collections.abc import Sequence


def hint(name: str, dims: Sequence[int | str]) -> str:
    """Tell how to bind the symbolic dimensions of an input, with 1 for each."""
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
    text = ",".join(map(str, shape))
    return f"bind them, on the command line as --shape {name}={text}, in Python as shapes={{'{name}': {shape}}}"

"""Between regions and Relax: ``from_function`` reads a composite's body, ``to_function`` writes one."""

from __future__ import annotations

from dataclasses import replace

from tvm import relax

from ..regions import Region
from .read import read
from .scope import Match, Scope, Unfit
from .write import REQUANTIZE, to_function

__all__ = ["Match", "Scope", "Unfit", "from_function", "read", "to_function"]


def from_function(function: relax.Function) -> Region | None:
    """The region that a function's body computes; None when it is not one region of its parameters, in order."""
    try:
        match = read(function.body.body, Scope.of(function))
    except Unfit:
        return None
    if list(match.inputs) != list(function.params):
        return None
    fixed = (function.attrs or {}).get(REQUANTIZE) == "fixed"
    return replace(match.region, requantize="fixed") if fixed else match.region

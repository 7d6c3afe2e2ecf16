"""Between regions and Relax: ``from_function`` reads a composite's body, ``to_function`` writes one."""

from __future__ import annotations

from tvm import relax

from ..regions import Region
from .read import Match, read
from .scope import Scope, Unfit
from .write import to_function

__all__ = ["Match", "Scope", "Unfit", "from_function", "read", "to_function"]


def from_function(function: relax.Function) -> Region | None:
    """The region that a function's body computes; None when it is not one region of its parameters, in order."""
    try:
        match = read(function.body.body, Scope.of(function))
    except Unfit:
        return None
    return match.region if list(match.inputs) == list(function.params) else None

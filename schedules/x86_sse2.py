"""SSE2, which every x86-64 CPU has: 16-bit products summed in pairs (pmaddwd)."""

from __future__ import annotations

from ._dots import Dots


def rule() -> Dots:
    """The rule of this module."""
    return Dots(frozenset({2}))

"""AVX2 and AVX512BW: 16-bit products summed in pairs (vpmaddwd)."""

from __future__ import annotations

from ._dots import Dots


def rule() -> Dots:
    """The rule of this module."""
    return Dots(frozenset({2}))

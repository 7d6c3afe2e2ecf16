"""AVX512-VNNI: u8 x s8 products summed in fours (vpdpbusd), wider ones in pairs (vpmaddwd)."""

from __future__ import annotations

from ._dots import Dots


def rule() -> Dots:
    """The rule of this module."""
    return Dots(frozenset({2, 4}))

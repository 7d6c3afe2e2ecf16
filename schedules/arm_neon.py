"""AArch64 without dot product: s8 x s8 products summed in fours, in 16 bits first (smull, addp, sadalp)."""

from __future__ import annotations

from . import _neon
from ._forms_neon import Long
from ._fours import Fours


def rule() -> Fours:
    """The rule of this module."""
    return Fours(_neon.long, Long, tiles=4, version=1)

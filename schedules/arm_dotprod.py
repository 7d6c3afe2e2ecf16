"""AArch64 with dot product: s8 x s8 products summed in fours (sdot)."""

from __future__ import annotations

from . import _neon
from ._forms_neon import Dot
from ._fours import Fours


def rule() -> Fours:
    """The rule of this module."""
    return Fours(_neon.dot, Dot, tiles=8, version=2)

"""AVX512-VNNI: contractions with u8 x s8 products summed in fours (vpdpbusd), or 16-bit ones in pairs."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _intrinsics


class Rule:
    """See the module's text."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of a contraction packed in vectors of 16 lanes; None for anything else."""
        form = _contraction.packing(func)
        if form == (16, 4, "int8"):
            return _contraction.schedule(func, 32, _intrinsics.vpdpbusd(), tunable)
        if form and form[:2] == (16, 2):
            return _contraction.schedule(func, 31, _intrinsics.vpmaddwd(16, form[2]), tunable)
        return None


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

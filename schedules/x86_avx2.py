"""AVX2 and AVX512BW: contractions with 16-bit products summed in pairs (vpmaddwd)."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _intrinsics


class Rule:
    """See the module's text."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of a contraction packed in pairs; None for anything else."""
        form = _contraction.packing(func)
        if form is None or form[:2] not in ((8, 2), (16, 2)):
            return None
        lanes, _, w = form
        registers = 31 if lanes == 16 else 15  # and one for the products
        return _contraction.schedule(func, registers, _intrinsics.vpmaddwd(lanes, w), tunable)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

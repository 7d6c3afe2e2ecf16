"""Any function on a GPU: a thread per few elements of an output, sums in registers. Takes everything."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _cuda_loops


class Rule:
    """See the module's text."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule:
        """The schedule of ``func``."""
        return _cuda_loops.schedule(func, tunable)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

"""Any CPU that LLVM knows: loops ordered, unrolled and vectorized, instructions left to LLVM. Takes everything."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _depthwise, _loops


class Rule:
    """See the module's text."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule:
        """The schedule of ``func``."""
        form = _contraction.packing(func)
        if form is not None:
            return _contraction.schedule(func, 8, None, tunable)
        if func.attrs is not None and func.attrs.get("tvmopt.op") == "depthwise":
            return _depthwise.schedule(func, tunable)
        return _loops.schedule(func, tunable)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

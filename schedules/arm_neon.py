"""AArch64 without dot product: sparse s8 x s8 products, summed in 16 bits first. All else is generic."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _forms_neon, _sparse


class Rule:
    """Takes sparse products."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        sparse = func.attrs is not None and func.attrs.get("tvmopt.op") == "sparse"
        return _sparse.schedule(func, _forms_neon.Long) if sparse else None


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

"""AArch64 with dot product: s8 x s8 products summed in fours (sdot)."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _forms_neon, _neon, _sparse
from ._common import Product

TILES = 8
"""Tiles of 16 sums, which take 4 registers each, that a contraction may hold with its weights and input."""


class Rule:
    """Takes contractions whose products are packed in fours, and sparse products."""

    version = 2

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        if func.attrs is not None and func.attrs.get("tvmopt.op") == "sparse":
            return _sparse.schedule(func, _forms_neon.Dot)
        product = Product.of(func)
        if product is None or product.op != "contraction" or product.depth != 4:
            return None
        return _contraction.schedule(func, TILES, _neon.broadcast(product.lanes), tunable)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

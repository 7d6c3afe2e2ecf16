"""Any CPU that LLVM knows: loops ordered, unrolled and vectorized, instructions left to LLVM. Takes everything."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _depthwise, _loops, _rows, _weight_only
from ._common import Product


class Rule:
    """See the module's text."""

    version = 3

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule:
        """The schedule of ``func``."""
        op = None if func.attrs is None else func.attrs.get("tvmopt.op")
        if op == "weight_only":
            return _weight_only.schedule(func, tunable)
        if op == "sparse_scalar":  # its loops are in order
            return Schedule(func)
        product = Product.of(func)
        if product is None or product.depth > 1:
            return _rows.schedule(func, target, tunable) or _loops.schedule(func, target, tunable)
        if product.op == "depthwise":
            return _depthwise.products(func, tunable)
        return _contraction.schedule(func, 8, None, tunable)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

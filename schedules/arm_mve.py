"""Cortex-M with Helium (MVE): the loops of "generic", vectorized by LLVM, with scratch for rows instead of images."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _depthwise
from ._common import Product

REGISTERS = 8
"""Of 128 bits."""


class Rule:
    """See the module's text."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of a function that sums products; None for anything else."""
        product = Product.of(func)
        if product is None or product.depth > 1:
            return None
        if product.op == "depthwise":
            return _depthwise.products(func, tunable, by_row=True)
        return _contraction.schedule(func, REGISTERS, None, tunable, by_row=True)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

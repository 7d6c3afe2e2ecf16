"""Cortex-M with Helium (MVE): the loops of "generic", vectorized by LLVM, with scratch for rows instead of images.

Tiles are small: what does not fit 8 registers is stored and loaded again at every step, in unrolled code.
"""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _depthwise
from ._common import Product

PAIRS = 4
"""Of registers of 128 bits: a vector of a contraction's sums takes two (``lowering/packing.py``)."""

LANES = 4
"""32-bit elements in a register."""

PIXELS = 2
"""Sums of a depthwise tile, beside which a step's inputs, weights and products fit the registers."""


class Rule:
    """See the module's text."""

    version = 3

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of a function that sums products; None for anything else."""
        product = Product.of(func)
        if product is None or product.depth > 1:
            return None
        if product.op == "depthwise":
            return _depthwise.products(func, tunable, by_row=True, lanes=LANES, tile=PIXELS)
        return _contraction.schedule(func, PAIRS, None, tunable, by_row=True)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

"""The rule that AArch64's rules share: s8 x s8 products packed in fours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _sparse
from ._common import Product
from ._forms import Form


@dataclass(frozen=True)
class Fours:
    """Takes contractions whose products are packed in fours, and sparse products.

    Attributes
    ----------
    broadcast : gives the tensor intrinsic of so many lanes.
    form      : gives what sparse products are made of.
    tiles     : of 16 sums, which take 4 registers each, that a contraction may hold with its weights and input.
    """

    broadcast: Callable[[int], str]
    form: Callable[[int, int], Form]
    tiles: int
    version: int

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        if func.attrs is not None and func.attrs.get("tvmopt.op") == "sparse":
            return _sparse.schedule(func, self.form)
        product = Product.of(func)
        if product is None or product.op != "contraction" or product.depth != 4:
            return None
        return _contraction.schedule(func, self.tiles, self.broadcast(product.lanes), tunable)

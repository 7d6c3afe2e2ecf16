"""The rule that the x86 rules share: products packed for an instruction that sums several of them in each lane."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _contraction, _depthwise, _forms_x86, _intrinsics, _sparse, _tables
from ._common import Product, features


@dataclass(frozen=True)
class Dots:
    """Takes contractions and depthwise convolutions whose products are packed by one of ``depths``, sparse products,
    and tables, if there are instructions for them."""

    depths: frozenset[int]
    version: int = 6

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        op = None if func.attrs is None else func.attrs.get("tvmopt.op")
        if op == "sparse":
            return _sparse.schedule(func, _forms_x86.of)
        if op == "table":
            return _tables.schedule(func) if "avx512bw" in features(target) else None
        product = Product.of(func)
        if product is None or product.depth not in self.depths:
            return None
        form = (product.lanes, product.depth, product.w)
        registers = 32 if product.lanes == 16 else 16
        if product.op == "depthwise":
            return _depthwise.dot_products(func, _intrinsics.columns(*form), registers // 2 - 2, tunable)
        if product.depth == 2:
            registers -= 1  # for the products, which are added in a second instruction
        if product.neighbours > 1:
            multiply_add = _intrinsics.neighbours(*form, product.neighbours)
        else:
            multiply_add = _intrinsics.broadcast(*form)
        return _contraction.schedule(func, registers, multiply_add, tunable, neighbours=product.neighbours)

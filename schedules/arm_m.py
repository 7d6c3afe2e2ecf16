"""Cortex-M without vectors: small code and little memory first, then sums in registers.

Borders are filled row by row, so that scratch holds the rows under one window and not the whole image.
"""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV
from tvm.target import Target
from tvm.tirx import IterVar, PrimFunc

from ._common import Decisions, Product, extents, find

SUMS = 8
"""Of 16 registers, that many hold sums; the others hold operands and addresses."""


class Rule:
    """See the module's text."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of a function that sums products; None for anything else."""
        product = Product.of(func)
        if product is None or product.depth > 1:
            return None
        return _products(func, product, tunable)


def _products(func: PrimFunc, product: Product, tunable: bool) -> Schedule:
    """A few sums at a time, of neighbouring pixels and channels, over the whole reduction."""
    sch = Schedule(func)
    decisions = Decisions(sch, tunable)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    lanes = product.lanes if product.op == "contraction" else 1

    *space, channel = sch.get_loops(out)
    block, lane = sch.split(channel, [None, lanes])
    rows, pixel = space[:-1], space[-1:]
    if pixel:
        pixels = extents(sch, out)[-2]
        tile = max(tile for tile in (1, 2, max(1, SUMS // lanes)) if pixels % tile == 0)
        p0, p1 = sch.split(pixel[0], [None, decisions.pick("pixels", tile, (1, 2, 4))])
        sch.reorder(*rows, p0, block, p1, lane)
        sch.unroll(p1)
    sch.unroll(lane)
    sch.compute_at(acc, block, preserve_unit_loops=True)
    if (stage := find(sch, "stage")) is not None and rows:
        sch.compute_at(stage, rows[-1], preserve_unit_loops=True)
    _accumulate(sch, acc)
    return sch


def _accumulate(sch: Schedule, acc: SBlockRV) -> None:
    """Sums become registers: loops over them are inside those of the reduction, and unrolled."""
    sch.set_scope(acc, 0, "local")
    axes = sch.get(acc).iter_vars
    loops = sch.get_loops(acc)[-len(axes) :]
    sums = [loop for loop, axis in zip(loops, axes, strict=True) if axis.iter_type == IterVar.DataPar]
    reduction = [loop for loop, axis in zip(loops, axes, strict=True) if axis.iter_type == IterVar.CommReduce]
    sch.reorder(*reduction, *sums)
    init = sch.decompose_reduction(acc, reduction[0])
    for loop in (*sums, *sch.get_loops(init)[-len(sums) :]):
        sch.unroll(loop)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

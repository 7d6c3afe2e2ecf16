"""Asks for the weights of the next tile of blocks while those of this one are multiplied.

    for tiles of blocks:
        for tiles of pixels:
            for steps:
                prefetch what comes at this place in the next tile of blocks
                sums += x * weights

A model's weights do not fit the cache, so every kernel finds its own in memory. They are read for the first tile of
pixels, which has to wait for them, and are there for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV
from tvm.tirx import For, Stmt
from tvm_ffi import structural_map

from ._tir import Expr, at, unravel

L2 = 2
"""``llvm.prefetch``'s locality of the second-level cache."""


def weights(
    sch: Schedule, weight: Expr, blocks: int, tiles: LoopRV, within: Sequence[LoopRV], reduction: Sequence[LoopRV]
) -> Schedule:
    """The schedule with what asks for weights.

    weight    : [blocks, *taps, steps, lanes, depth], a cache line for every step of a block.
    tiles     : the loop over tiles of so many ``blocks``.
    within    : the loops between it and the reduction. Each of their iterations asks for as many blocks as it takes
                for all to be asked for, and begins again after the last.
    reduction : the loops over taps and steps, from the outermost.
    """
    rounds = prod(int(sch.get(loop).extent) for loop in within)
    each = ceil(blocks / rounds)
    total, *extents = (int(extent) for extent in weight.shape[:-2])
    first = (sch.get(tiles).loop_var + 1) * blocks
    places = [tirx.min(first + (_flat(sch, within) * each + i) % blocks, total - 1) for i in range(each)]
    step = unravel(_flat(sch, reduction), extents)
    lines = [at(weight, block, *step, 0, 0) for block in places]
    asks = [tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", line, 0, L2, 1)) for line in lines]
    innermost = sch.get(reduction[-1]).loop_var

    def asking(loop: For) -> Stmt:
        if not loop.loop_var.same_as(innermost):
            return loop
        body = tirx.SeqStmt([*asks, loop.body])
        return For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)

    func = sch.mod["main"]
    return Schedule(func.with_body(structural_map(func.body, (For, asking))))


def _flat(sch: Schedule, loops: Sequence[LoopRV]) -> Expr:
    """Which iteration of all the loops together it is."""
    place: Expr = tirx.const(0)
    for loop in map(sch.get, loops):
        place = place * loop.extent + loop.loop_var
    return place

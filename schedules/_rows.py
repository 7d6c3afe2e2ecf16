"""Schedule of functions that pass over rows several times (softmax, layer normalization, ...).

    for groups of rows, spread over threads:
        for blocks of the function:
            the rows, in vectors                                   # while they are in the first-level cache

One row at a time would be in it, too, but each of its passes waits for the last result of the one before.
"""

from __future__ import annotations

from math import prod

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.target import Target
from tvm.tirx import IterVar, PrimFunc

from ._common import Decisions, extents, parallel
from ._loops import (
    LANES,
    SCALAR,
    add_up,
    calls,
    compute_at,
    inline,
    lanes,
    plain,
    sum_lanes,
    sums,
    sums_along_rows,
    vector_axis,
)

GROUP = 4096
"""Elements of a group of rows, at most: a few tensors of so many are in the first-level cache together."""


def schedule(func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
    """The scheduled function; None where it is something else."""
    sch = Schedule(func)
    if func.body.block.name_hint != "root":
        return None
    inline(sch)
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    if not all(plain(sch, block) and not calls(sch, block) & SCALAR for block in blocks):
        return None
    *passes, out = blocks
    shape = extents(sch, out)
    reductions = [block for block in passes if sums(sch, block)]
    if not reductions or prod(shape[:-1]) == 1 or sums(sch, out) or vector_axis(sch, out) is None:
        return None
    if not all(_of_rows(sch, block, shape) for block in passes):
        return None
    decisions = Decisions(sch, tunable)
    most = decisions.pick("lanes", min(32, sum_lanes(target)), (8, 16, 32, 64))  # two vectors, where they are long
    *outer, rows, last = sch.get_loops(out)
    together = max(n for n in range(1, max(1, GROUP // shape[-1]) + 1) if shape[-2] % n == 0)
    together = decisions.pick("together", together, [n for n in (1, 2, 4, 8, 16, 32) if shape[-2] % n == 0])
    group, _ = sch.split(rows, [None, together])
    partial = {block: add_up(sch, block, LANES) for block in reductions}
    for block in reversed(passes):
        compute_at(sch, block, group)
        for each in reversed(partial.get(block, [])):
            compute_at(sch, each, sch.get_loops(block)[-2])
            sch.vectorize(sch.get_loops(each)[-1])
        if block not in partial and vector_axis(sch, block) is not None:
            _vectorize(sch, sch.get_loops(block)[-1], most)
    _vectorize(sch, last, most)
    parallel(sch, func, sch.fuse(*outer, group))
    return sch


def _of_rows(sch: Schedule, block: SBlockRV, shape: list[int]) -> bool:
    """Whether a block computes rows like those of ``shape``, or a number for each of them."""
    reduced = sums(sch, block)
    space = [int(iv.dom.extent) for iv in sch.get(block).iter_vars if iv.iter_type == IterVar.DataPar]
    if not reduced:
        return space in (shape, shape[:-1])
    return space == shape[:-1] and [int(iv.dom.extent) for iv in reduced] == shape[-1:] and sums_along_rows(sch, block)


def _vectorize(sch: Schedule, loop: LoopRV, most: int) -> None:
    loop, lane = sch.split(loop, [None, lanes(int(sch.get(loop).extent), most)])
    sch.vectorize(lane)
    sch.annotate(loop, "pragma_loop_partition_hint", 1)

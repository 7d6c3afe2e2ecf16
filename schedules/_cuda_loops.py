"""Schedule of any function for a GPU: what can be inlined is, every other block becomes a grid of threads.

    for blocks, threads:
        for a few neighbouring elements:
            out = ...

A thread sums what its elements need by itself, in registers. What is no plain loop nest (data-dependent writes, several
results) runs in one thread.
"""

from __future__ import annotations

from math import prod

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.tirx import IterVar, PrimFunc

from ._common import Decisions
from ._loops import inline

THREADS = 128
"""Of a block; several blocks share a multiprocessor."""

VECTOR = 4
"""Elements of a thread, which it loads and stores at once."""

COPIES = ("stage", "pack", "columns")
"""Blocks that only move or convert elements: computed where they are read."""


def schedule(func: PrimFunc, tunable: bool) -> Schedule:
    """The scheduled function."""
    sch = Schedule(func)
    if func.body.block.name_hint != "root":
        _bind(sch, sch.add_unit_loop(sch.get_sblock(func.body.block.name_hint)), 1)
        return sch
    decisions = Decisions(sch, tunable)
    root = sch.get_sblock("root")
    for block in sch.get_child_blocks(root):
        if sch.get(block).name_hint in COPIES:
            sch.compute_inline(block)
    inline(sch)
    for block in sch.get_child_blocks(root):
        if not _independent(sch, block):
            _serial(sch, block)
        elif not any(_sums_for(sch, block, consumer) for consumer in sch.get_consumers(block)):
            producers = [one for one in sch.get_producers(block) if _sums_for(sch, one, block)]
            _grid(sch, block, producers, decisions)
    return sch


def _independent(sch: Schedule, block: SBlockRV) -> bool:
    """Whether a block is a loop nest whose elements may be computed in any order."""
    node, loops = sch.get(block), sch.get_loops(block)
    kinds = {axis.iter_type for axis in node.iter_vars}
    nest = len(loops) == len(node.iter_vars) and not sch.get_child_blocks(block)
    return nest and len(node.writes) == 1 and kinds <= {IterVar.DataPar, IterVar.CommReduce}


def _sums_for(sch: Schedule, block: SBlockRV, consumer: SBlockRV) -> bool:
    """Whether a block sums what one other needs, element by element."""
    if len(sch.get_consumers(block)) > 1 or not (_independent(sch, block) and _independent(sch, consumer)):
        return False
    return bool(_axes(sch, block)[1]) and not _axes(sch, consumer)[1] and _size(sch, consumer) <= _size(sch, block)


def _axes(sch: Schedule, block: SBlockRV) -> tuple[list[LoopRV], list[LoopRV]]:
    """Loops over what a block writes, and those over what it sums."""
    pairs = list(zip(sch.get_loops(block), sch.get(block).iter_vars, strict=True))
    spatial, sums = (
        [loop for loop, axis in pairs if axis.iter_type == kind] for kind in (IterVar.DataPar, IterVar.CommReduce)
    )
    return spatial, sums


def _size(sch: Schedule, block: SBlockRV) -> int:
    return prod(int(iv.dom.extent) for iv in sch.get(block).iter_vars if iv.iter_type == IterVar.DataPar)


def _grid(sch: Schedule, block: SBlockRV, producers: list[SBlockRV], decisions: Decisions) -> None:
    """Threads over the elements of what ``block`` writes; each computes the sums it needs."""
    spatial, sums = _axes(sch, block)
    if not spatial:
        spatial = [sch.add_unit_loop(sums[0] if sums else block)]
    store = sch.cache_write(block, 0, "local") if sums else None
    sch.reorder(*spatial, *sums)
    # no more threads than elements: TVM would not test for the end where a thread stores a sum
    size = _size(sch, block)
    options = [min(size, threads) for threads in (32, 64, 256)]
    threads = decisions.pick(f"{sch.get(block).name_hint}.threads", min(size, THREADS), options)
    lane = None
    if _vector(sch, block, size):
        # before axes are fused: TVM takes no index apart that a vector crosses, and would keep sums of whole rows
        spatial[-1], lane = sch.split(spatial[-1], [None, VECTOR])
        sch.reorder(*spatial, *sums, lane)
    loop = sch.fuse(*spatial)
    thread = _bind(sch, loop, threads)
    if lane is not None:
        sch.vectorize(lane)  # which a block with its initial value apart does not allow
    if store is not None:
        sch.reverse_compute_at(store, thread)
        init = sch.decompose_reduction(block, sums[0])
        if lane is not None:
            sch.vectorize(sch.get_loops(store)[-1])
            sch.vectorize(sch.get_loops(init)[-1])
    for producer in producers:
        sch.set_scope(producer, 0, "local")
        sch.compute_at(producer, thread, preserve_unit_loops=True)
        if lane is not None:
            axes = sch.get(producer).iter_vars
            own = list(zip(axes, sch.get_loops(producer)[-len(axes) :], strict=True))
            *_, element = (loop for axis, loop in own if axis.iter_type == IterVar.DataPar)
            sch.reorder(*(loop for axis, loop in own if axis.iter_type == IterVar.CommReduce), element)
            sch.unroll(element)


def _vector(sch: Schedule, block: SBlockRV, size: int) -> bool:
    """Whether a thread may compute several elements: they are neighbours, and there are enough for all threads."""
    node = sch.get(block)
    axes = [axis for axis in node.iter_vars if axis.iter_type == IterVar.DataPar]
    (written,) = node.writes
    last = axes[-1] if axes and written.region and axes[-1].var.same_as(written.region[-1].min) else None
    return last is not None and int(last.dom.extent) % VECTOR == 0 and size >= VECTOR * THREADS


def _serial(sch: Schedule, block: SBlockRV) -> None:
    """One thread for all of ``block``."""
    loops = sch.get_loops(block)
    _bind(sch, sch.add_unit_loop(loops[0] if loops else block), 1)


def _bind(sch: Schedule, loop: LoopRV, threads: int) -> LoopRV:
    """``loop`` over a grid of threads; gives the loop that a thread is."""
    outer, thread = sch.split(loop, [None, threads])
    sch.bind(outer, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return thread

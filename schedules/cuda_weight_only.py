"""Products of floats with weights of few bits on a GPU: unpacked in registers, multiplied as floats.

for tiles of rows, 32 columns:
    threads (a warp per some of the blocks of the reduction, a column a lane):
        sums[row] = 0
        for blocks, words: sums[row] += (x[row] * unpacked weights) * scale      # a word is unpacked for all rows
    threads: out[row] = the warps' sums + bias

Weights are read once for each tile of rows, 128 bytes a warp; what takes the time where rows are few.
"""

from __future__ import annotations

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV
from tvm.target import Target
from tvm.tirx import Add, Mul, PrimFunc
from tvm_ffi import structural_map

from ._common import Decisions, extents, find, threads
from ._tir import Expr

WARPS = 16
"""Of a block of threads, at most."""

ROWS = 8
"""Of a tile, at most: each takes a thread two sums."""


class Rule:
    """See the module's text."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``; None for anything else."""
        if func.attrs is None or func.attrs.get("tvmopt.op") != "weight_only":
            return None
        return Schedule(_fused(_schedule(func, tunable).mod["main"]))


def rule() -> Rule:
    """The rule of this module."""
    return Rule()


def _schedule(func: PrimFunc, tunable: bool) -> Schedule:
    sch = Schedule(func)
    decisions = Decisions(sch, tunable)
    part, acc, out = (sch.get_sblock(name) for name in ("part", "acc", "out"))
    rows, _, vectors, lanes = extents(sch, acc)
    blocks = extents(sch, part)[1]
    height = decisions.pick("rows", min(rows, ROWS), [n for n in (1, 2, 4, 8) if n <= rows])
    shares = [n for n in range(1, WARPS + 1) if blocks % n == 0]
    tiles = -(-rows // height) * extents(sch, acc)[1] * vectors
    few = tiles < threads(func)  # blocks of threads: then each has more warps
    warps = decisions.pick("warps", max(n for n in shares if n <= (WARPS if few else WARPS // 2)), shares)

    *_, at = sch.get_loops(acc)
    _, share = sch.split(at, [None, warps])
    partial = sch.rfactor(share, 0)
    row, column = sch.get_loops(out)
    r0, r1 = sch.split(row, [None, height])
    r1, warp = sch.split(r1, [None, warps])
    c, lane = sch.split(column, [None, lanes])
    sch.reorder(r0, c, r1, warp, lane)
    sch.bind(c, "blockIdx.x")
    sch.bind(r0, "blockIdx.y")
    _threads(sch, warp, lane)
    sch.compute_at(acc, lane)
    sch.set_scope(acc, 0, "local")

    sch.compute_at(partial, c, preserve_unit_loops=True)
    stored = sch.cache_write(partial, 0, "local")
    sch.set_scope(stored, 0, "shared")
    *_, share, row, group, vector, lane, at = sch.get_loops(partial)
    sch.reorder(share, group, vector, lane, at, row)
    _threads(sch, share, lane)
    sch.reverse_compute_at(stored, lane, preserve_unit_loops=True)
    sch.compute_at(part, at, preserve_unit_loops=True)
    sch.set_scope(part, 0, "local")
    *_, own_row, _, _, _, _, word, inner = sch.get_loops(part)
    sch.reorder(word, inner, own_row)
    read = sch.cache_read(part, 0, "local", [part])
    sch.compute_at(read, word, preserve_unit_loops=True)
    sch.vectorize(sch.split(sch.get_loops(read)[-1], [None, 4])[1])
    for loop in (inner, own_row, row, r1, *sch.get_loops(read)[-3:-1]):
        sch.unroll(loop)
    sch.decompose_reduction(part, word)
    sch.decompose_reduction(partial, at)
    if (block_sums := find(sch, "block_sums")) is not None:
        sch.compute_at(block_sums, at, preserve_unit_loops=True)
        sch.set_scope(block_sums, 0, "local")
        sch.decompose_reduction(block_sums, sch.get_loops(block_sums)[-1])
    return sch


def _threads(sch: Schedule, warp: LoopRV, lane: LoopRV) -> None:
    """Loops over warps and over lanes as the threads of a block."""
    sch.bind(warp, "threadIdx.y")
    sch.bind(lane, "threadIdx.x")


def _fused(func: PrimFunc) -> PrimFunc:
    """``func`` whose products are fused with the sums they are added to, which the compiler is told not to do."""

    def fuse(add: Add) -> Expr:
        product = add.b
        if not isinstance(product, Mul) or str(add.ty.dtype) != "float32":
            return add
        return tirx.call_pure_extern("float32", "__fmaf_rn", product.a, product.b, add.a)

    return structural_map(func, [(Add, fuse)])

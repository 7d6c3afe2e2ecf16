"""Schedule of "weight_only" functions: weights of few bits are unpacked in registers, and used for several rows there.

for tiles of rows and vectors:
    acc[rows][vectors][lanes] = 0
    for blocks:
        part[:][:] = 0
        for words:
            part[:][:] += x[row] * unpacked weights            # all that a word holds, unrolled
        acc[:][:] += part * scale
    out[tile] = acc + bias
"""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from ._common import Decisions, extents, find, parallel, widest_first


def schedule(func: PrimFunc, tunable: bool) -> Schedule:
    """The scheduled function."""
    sch = Schedule(func)
    decisions = Decisions(sch, tunable)
    part, acc, out = (sch.get_sblock(name) for name in ("part", "acc", "out"))
    rows, _, vectors, lanes = extents(sch, acc)
    sums = 8 if lanes == 16 else 4  # of both kinds: AVX-512 has twice the registers
    height = decisions.pick("rows", min(rows, 4), range(1, min(rows, sums) + 1))
    widths = [width for width in range(1, vectors + 1) if vectors % width == 0]
    width = decisions.pick("vectors", max(width for width in widths if width <= max(1, sums // height)), widths)
    row, column = sch.get_loops(out)
    r0, r1 = sch.split(row, [None, height])
    group, vector, lane = sch.split(column, [None, vectors, lanes])
    v0, v1 = sch.split(vector, [None, width])
    first, second = widest_first(sch, [group, r0])
    outer = [first, v0, second] if first is group else [first, second, v0]
    sch.reorder(*outer, r1, v1, lane)
    sch.compute_at(acc, outer[-1], preserve_unit_loops=True)
    *tile, at = sch.get_loops(acc)[-5:]
    sch.reorder(at, *tile)
    sch.compute_at(part, at, preserve_unit_loops=True)
    *tile_of_part, word, inner = sch.get_loops(part)[-7:]
    sch.reorder(word, inner, *tile_of_part)
    for sums_of_tile in (part, acc):
        sch.set_scope(sums_of_tile, 0, "local")
    for loop in (tile_of_part[-1], tile[-1], lane):
        sch.vectorize(loop)
    for loop in (inner, *tile_of_part[:-1], *tile[:-1], r1, v1):
        sch.unroll(loop)
    parallel(sch, func, *outer)
    for reduced, loop, depth in ((part, word, 5), (acc, at, 4)):
        *loops, init_lane = sch.get_loops(sch.decompose_reduction(reduced, loop))[-depth:]
        sch.vectorize(init_lane)
        for init in loops:
            sch.unroll(init)
    if (block_sums := find(sch, "block_sums")) is not None:
        sch.decompose_reduction(block_sums, sch.get_loops(block_sums)[-1])
    for loop in (group, v0, r0, v1):
        sch.annotate(loop, "pragma_loop_partition_hint", 1)
    return sch

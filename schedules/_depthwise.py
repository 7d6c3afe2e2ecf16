"""Schedule of "depthwise" functions: vectors of channels, sums of a tile of pixels in registers over all taps."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from ._common import Decisions, copy, extents, find, parallel, widest_first

UNROLLED_TAPS = 9
"""Beyond a 3 x 3 window, rows of taps stay a loop: the code would grow more than it gains."""


def schedule(func: PrimFunc, tunable: bool) -> Schedule:
    """The scheduled function; vectors have 16 lanes, which LLVM splits where the target's are shorter."""
    sch = Schedule(func)
    decisions = Decisions(sch, tunable)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    *_, pixels, channels = extents(sch, acc)

    *space, pixel, channel = sch.get_loops(out)
    p0, p1 = sch.split(pixel, [None, decisions.pick(_tile(pixels), (1, 2, 4, 7, 8, 14))])
    c0, c1, lane = sch.split(channel, [None, decisions.pick(1, (1, 2, 4)), min(16, channels)])
    outer = widest_first(sch, [*space, c0])
    sch.reorder(*outer, p0, p1, c1, lane)
    sch.compute_at(acc, p0, preserve_unit_loops=True)
    parallel(sch, func, outer[0])
    sch.set_scope(acc, 0, "local")

    *_, tile, vectors, row, column = sch.get_loops(acc)
    vector, sum_lane = sch.split(vectors, [None, min(16, channels)])
    sch.reorder(row, column, tile, vector, sum_lane)
    sch.vectorize(sum_lane)
    taps = [int(sch.get(loop).extent) for loop in (row, column)]
    sch.unroll(column)
    if taps[0] * taps[1] <= UNROLLED_TAPS:
        sch.unroll(row)
    init = sch.decompose_reduction(acc, row)
    for loop in (*sch.get_loops(init)[-3:-1], tile, vector, p1, c1):
        sch.unroll(loop)
    sch.vectorize(lane)
    for loop in (c0, p0, c1, lane):
        sch.annotate(loop, "pragma_loop_partition_hint", 1)
    if (stage := find(sch, "stage")) is not None:
        copy(sch, func, stage)
    return sch


def _tile(pixels: int) -> int:
    """The largest number of pixels up to 8 that divides the row, or 4."""
    return next((tile for tile in range(8, 3, -1) if pixels % tile == 0), min(4, pixels))

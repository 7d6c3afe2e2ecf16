"""Schedules of "depthwise" functions: vectors of channels, the sums of a tile of pixels in registers over all taps."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from ._common import Decisions, begun, copy, extents, find, parallel, row_groups, widest_first

UNROLLED_TAPS = 9
"""Beyond a 3 x 3 window, taps stay a loop: the code would grow more than it gains."""


def products(func: PrimFunc, tunable: bool, by_row: bool = False, lanes: int = 16, tile: int = 8) -> Schedule:
    """One tap at a time.

    by_row : copy the input row by row, see ``_contraction.schedule``.
    lanes  : of a vector of sums, which LLVM splits where the target's are shorter.
    tile   : pixels whose sums fit the registers.
    """
    sch = Schedule(func)
    decisions = Decisions(sch, tunable)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    *_, pixels, channels = extents(sch, acc)

    *space, pixel, channel = sch.get_loops(out)
    p0, p1 = sch.split(pixel, [None, decisions.pick("pixels", _tile(pixels, tile), range(1, 15))])
    c0, c1, lane = sch.split(channel, [None, decisions.pick("vectors", 1, (1, 2, 4)), min(lanes, channels)])
    outer = [*space, c0] if by_row else widest_first(sch, [*space, c0])
    sch.reorder(*outer, p0, p1, c1, lane)
    sch.compute_at(acc, p0, preserve_unit_loops=True)
    parallel(sch, func, *outer)
    sch.set_scope(acc, 0, "local")

    *_, sums, vectors, row, column = sch.get_loops(acc)
    vector, sum_lane = sch.split(vectors, [None, min(lanes, channels)])
    sch.reorder(row, column, sums, vector, sum_lane)
    sch.vectorize(sum_lane)
    if int(sch.get(row).extent) * int(sch.get(column).extent) <= UNROLLED_TAPS:
        sch.unroll(row)
        sch.unroll(column)
    init = sch.decompose_reduction(acc, row)
    for loop in (*sch.get_loops(init)[-3:-1], sums, vector, p1, c1):
        sch.unroll(loop)
    sch.vectorize(lane)
    for loop in (c0, p0, c1, lane):
        sch.annotate(loop, "pragma_loop_partition_hint", 1)
    if (stage := find(sch, "stage")) is not None:
        if by_row:
            sch.compute_at(stage, space[-1], preserve_unit_loops=True)
        else:
            copy(sch, func, stage)
    return sch


def dot_products(func: PrimFunc, multiply_add: str, tile: int, tunable: bool) -> Schedule:
    """Several rows of taps at a time: what a tile of pixels needs is gathered in vectors, then multiplied.

    multiply_add : tensor intrinsic of one step; tile : pixels whose sums and columns fit the registers.
    """
    sch = Schedule(begun(func))
    decisions = Decisions(sch, tunable)
    columns, acc, out = sch.get_sblock("columns"), sch.get_sblock("acc"), sch.get_sblock("out")
    *_, pixels, _, lanes = extents(sch, acc)

    if (scaled := find(sch, "scaled")) is not None:
        sch.compute_inline(scaled)
    *space, pixel, channel = sch.get_loops(out)
    size = decisions.pick("pixels", _tile(pixels, tile), range(1, 15))
    p0, p1 = sch.split(pixel, [None, size])
    block, lane = sch.split(channel, [None, lanes])
    stage = find(sch, "stage")
    around, within = row_groups(sch, decisions, space if stage is not None else [], 0)
    within = within or space
    order = decisions.pick("order", 0, range(3))
    outer = [*around, *(widest_first(sch, [*within, block]), [*within, block], [block, *within])[order]]
    sch.reorder(*outer, p0, p1, lane)
    for producer in (acc, columns):
        sch.compute_at(producer, p0, preserve_unit_loops=True)
        sch.set_scope(producer, 0, "local")
    if around:
        sch.compute_at(stage, around[-1], preserve_unit_loops=True)
    elif stage is not None:
        copy(sch, func, stage)
    parallel(sch, func, *outer)

    *_, column, rows, _, gathered = sch.get_loops(columns)
    sch.vectorize(gathered)
    *_, sums, _, sum_lane, tap, group, inner = sch.get_loops(acc)
    sch.reorder(tap, group, sums, sum_lane, inner)
    init = sch.decompose_reduction(acc, tap)
    sch.vectorize(sch.get_loops(init)[-1])
    for loop in (sch.get_loops(init)[-3], sums, p1):
        sch.unroll(loop)
    taps = int(sch.get(tap).extent) * int(sch.get(group).extent)
    if decisions.pick("unroll", int(taps <= UNROLLED_TAPS // 3), (0, int(taps <= UNROLLED_TAPS))):
        for loop in (column, rows, tap, group):  # then columns are in registers as well
            sch.unroll(loop)
    sch.blockize(sum_lane)  # keeps the test for a tile's end, which tensorize does not take, outside
    sch.tensorize(sch.get_loops(acc)[-2], multiply_add)
    sch.vectorize(lane)
    for loop in (*outer, lane, gathered, *([p0] if pixels % size else [])):
        sch.annotate(loop, "pragma_loop_partition_hint", 1)
    return sch


def _tile(pixels: int, most: int) -> int:
    """The largest number of pixels up to ``most`` that divides the row, unless it is small."""
    return next((tile for tile in range(most, 3, -1) if pixels % tile == 0), min(most, pixels))

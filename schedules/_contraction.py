"""Schedule of "contraction" functions: a tile of sums stays in vector registers over the whole reduction.

    for tiles of blocks, space, tiles of pixels:
        sums[pixels][blocks][lanes] = 0
        for taps, steps:
            sums[:][:] += broadcast(x[pixel]) * weight[block]      # one instruction each, unrolled
        out[tile] = epilogue(sums)

Short reductions keep the weights of a tile of blocks in registers instead, while tiles of pixels pass by.

Tiles at the end of an axis that they do not divide are split off by TVM's loop partitioning, so that only
they are shorter and no tile tests for its end.
"""

from __future__ import annotations

from math import ceil, prod

from tvm import DataType
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.tirx import PrimFunc

from . import _intrinsics, _prefetch
from ._common import Decisions, begun, copy, evenly, extents, find, parallel, row_groups, widest_first

L1_BYTES = 32 * 1024
"""The smallest L1 data cache of the CPUs in use."""

GROUP = 4
"""Rows whose input is copied at a time, where it is not copied as a whole."""

SHORT = 8
"""Steps of a reduction whose weights all stay in registers."""

ALONE = 12
"""Pixels of a tile with one block, at most. More gain nothing, and LLVM takes what their windows share to the stack."""

LATENCY = 10
"""Sums that must be in flight to hide the latency of a multiply-add (4-5 cycles, two a cycle)."""


def schedule(
    func: PrimFunc,
    registers: int,
    multiply_add: str | None,
    tunable: bool,
    by_row: bool = False,
    neighbours: int = 1,
) -> Schedule:
    """The scheduled function.

    registers    : vector registers that hold the sums' lanes.
    multiply_add : tensor intrinsic of one step, None where LLVM picks the instruction.
    by_row       : copy the input row of windows by row of windows: rows under several windows are copied
                   several times, but scratch is no larger than one window is high.
    neighbours   : pixels that have the lanes in turn.
    """
    sch = Schedule(begun(func))
    decisions = Decisions(sch, tunable)
    acc, out, scaled = sch.get_sblock("acc"), sch.get_sblock("out"), find(sch, "scaled")
    *lead, blocks, lanes = extents(sch, acc)
    length, steps = (
        prod(int(iv.dom.extent) for iv in sch.get(acc).iter_vars[len(lead) + 2 : end]) for end in (None, -1)
    )

    *space, pixel, channel = sch.get_loops(out)
    short = scaled is not None and steps <= SHORT and blocks > 1 and lead[-1] > 1
    short = bool(decisions.pick("held", int(short), (0, int(short))))
    pixels, vectors = short_tile(blocks) if short else register_tile(lead[-1], blocks, registers)
    visits = 1 if short else tiles_per_visit(prod(lead), blocks, lanes * length, length, pixels, vectors)
    pixels = decisions.pick("pixels", pixels, range(1, min(lead[-1], registers - 3) + 1))
    vectors = decisions.pick("vectors", vectors, range(1, min(blocks, 8) + 1))
    visits = decisions.pick("visits", visits, [count for count in (1, 2, 4, 8) if count <= blocks])
    visits = min(visits, ceil(blocks / vectors))  # TVM cannot pack tiles of which a visit has more than there are
    group = tiles_per_group(ceil(lead[-1] / pixels), blocks * lanes * pixels) if short and not space else 1
    packed = packable(blocks, vectors) if scaled is not None else 1
    rows = rows_packed(lead[-1], pixels, blocks) if scaled is not None and vectors == blocks else 1
    pixel, row = sch.split(pixel, [None, rows])  # first, both: so a tile's end is never tested within
    whole, lane = sch.split(channel, [None, packed * lanes])
    g0, p0, p1 = sch.split(pixel, [None, group, pixels // rows])
    b0, b1, b2 = sch.split(whole, [None, visits, vectors // packed])
    stage = find(sch, "stage")
    grouped = by_row or stage is not None
    windows = len(sch.get(acc).iter_vars) > len(lead) + 4
    copied = (
        rows_per_group(sch, func, stage, space[-1]) if windows and stage is not None and not by_row else int(by_row)
    )
    around, within = row_groups(sch, decisions, space if grouped else [], copied)
    within = within or space
    weight = sch.get(acc).reads[-1].source
    tiles = int(sch.get(b0).extent)
    reread = multiply_add is not None and prod(lead) > pixels and tiles > 1 and not short and not around
    cold = reread and find(sch, "pack") is None and prod(map(int, weight.shape)) > L1_BYTES
    orders = 4 if prod(lead) > 1 else 1  # of one row, all are the same
    order = decisions.pick("order", int(cold and evenly(func, tiles)), range(orders))
    order = order or (2 if by_row or around or short else 0)
    places = {
        0: widest_first(sch, [b0, *within, g0, p0]),
        1: [b0, *within, g0, p0],
        2: [*within, g0, b0, p0],
        3: [*within, g0, p0, b0],
    }[order]
    outer = [*around, *places]
    sch.reorder(*outer, b1, p1, b2, row, lane)
    if scaled is not None:
        sch.compute_at(scaled, b2, preserve_unit_loops=True)
        sch.set_scope(scaled, 0, "local")
        *_, each, wide = sch.get_loops(scaled)
        vector, inner = sch.split(wide, [None, lanes])
        sch.unroll(each)
        sch.unroll(vector)
        sch.vectorize(inner)
    sch.compute_at(acc, b1, preserve_unit_loops=True)
    for name, prepare in (("stage", copy), ("pack", pack)):
        if (block := find(sch, name)) is not None:
            if around and (by_row or name == "stage"):
                sch.compute_at(block, around[-1], preserve_unit_loops=True)
            else:
                prepare(sch, func, block)
    parallel(sch, func, *outer)
    unroll = decisions.pick(
        "unroll", 1, [count for count in (1, 2, 4) if int(sch.get(acc).iter_vars[-2].dom.extent) % count == 0]
    )
    reduction = _accumulate(sch, acc, len(lead), multiply_add, short, unroll)
    sch.unroll(p1)
    sch.unroll(b2)
    for loop in (b0, g0, p0, b1, b2, *([lane] if packed * rows == 1 else [])):
        if int(sch.get(loop).extent) > 1:  # a loop of one stays one if it is annotated, and LLVM moves loads before it
            sch.annotate(loop, "pragma_loop_partition_hint", 1)
    if rows > 1:
        sch.blockize(row)
        sch.tensorize(sch.get_loops(out)[-2], _intrinsics.narrow_rows(rows, packed, neighbours))
    elif packed > 1:
        sch.blockize(lane)
        sch.tensorize(sch.get_loops(out)[-1], _intrinsics.narrow(packed))
    else:
        sch.vectorize(lane)
    if cold and order == 1:
        return _prefetch.weights(sch, weight, visits * vectors, b0, [*outer[1:], b1], reduction)
    return sch


def register_tile(pixels: int, blocks: int, registers: int) -> tuple[int, int]:
    """Pixels and blocks of a tile, for so many of each, that take the fewest cycles for one step of all.

    A tile needs a register per sum, one per block of weights and one for the input. Its step takes as long
    as its multiply-adds, its loads or the latency, whichever is longest; two of each start in a cycle.
    """

    def cycles(p: int, b: int) -> float:
        sizes = [(p, pixels // p), (pixels % p, 1)], [(b, blocks // b), (blocks % b, 1)]
        return sum(
            np * nb * (max(tp * tb, tp + tb, LATENCY) / 2 + 1) for tp, np in sizes[0] for tb, nb in sizes[1] if tp * tb
        )

    fits = [
        (p, b)
        for b in range(1, min(blocks, 8) + 1)
        for p in range(1, min(pixels, registers if b > 1 else ALONE) + 1)
        if p * b + b + 1 <= registers
    ]
    return min(fits, key=lambda tile: cycles(*tile))


def short_tile(blocks: int) -> tuple[int, int]:
    """Pixels and blocks of a tile whose weights stay in registers over the whole reduction, from tile to tile."""
    vectors = packable(blocks, blocks)
    return max(2, 8 // vectors), vectors


def packable(blocks: int, vectors: int) -> int:
    """How many vectors of sums can be made bytes together in tiles of ``vectors``, the last one included."""
    return next(count for count in (4, 2, 3, 1) if blocks % count == 0 and vectors % count == 0)


def rows_packed(row: int, pixels: int, blocks: int) -> int:
    """How many neighbouring pixels of a row have their sums made bytes together, whose channels are all in a tile."""
    return next(count for count in (4, 2, 1) if count * blocks <= 4 or count == 1 if row % count == pixels % count == 0)


def tiles_per_group(tiles: int, bytes: int) -> int:
    """Tiles of pixels whose outputs, of so many bytes each, stay in L1 until all of their blocks are computed."""
    most = max(1, L1_BYTES // 2 // bytes)
    return ceil(tiles / ceil(tiles / most))  # alike


def rows_per_group(sch: Schedule, func: PrimFunc, stage: SBlockRV, row: LoopRV) -> int:
    """Rows of the output whose input is copied at a time: some where all of it leaves little of L1, otherwise 0."""
    count = int(sch.get(row).extent)
    copied = sch.get(stage).writes[0].source
    bytes = prod(int(extent) for extent in copied.shape) * DataType(str(copied.dtype)).itemsize
    if bytes <= L1_BYTES * 3 // 4 or count % GROUP:
        return 0
    return GROUP if evenly(func, count // GROUP) else GROUP // 2


def tiles_per_visit(rows: int, blocks: int, block_bytes: int, row_bytes: int, pixels: int, vectors: int) -> int:
    """Tiles of blocks to compute for a tile of pixels before going to the next one: all, or one.

    All when the weights stay in L1 anyway; otherwise what moves fewer bytes: the weights once for every tile
    of pixels, or the input once for every tile of blocks.
    """
    tiles = ceil(blocks / vectors)
    weights = blocks * block_bytes
    if weights <= L1_BYTES // 2 or weights * ceil(rows / pixels) < rows * row_bytes * tiles:
        return tiles
    return 1


def pack(sch: Schedule, func: PrimFunc, pack: SBlockRV) -> None:
    """The second factor of a product of activations as its multiply-add wants it; sums of rows and columns."""
    given, packed = sch.get(pack).reads[0].source, sch.get(pack).writes[0].source
    *_, blocks, steps, lanes, depth = (int(extent) for extent in packed.shape)
    whole = [int(extent) for extent in given.shape[-2:]] == [steps * depth, blocks * lanes]
    if whole and depth == 4 and str(given.dtype) == "uint8":
        *outer, lane, _ = sch.get_loops(pack)
        parallel(sch, func, sch.fuse(*outer))
        sch.tensorize(lane, _intrinsics.interleave())
    else:
        copy(sch, func, pack)
    for name in ("row_sums", "column_sums"):
        if (sums := find(sch, name)) is not None:
            *_, last, length = sch.get_loops(sums)
            if name == "column_sums":
                sch.reorder(length, last)  # columns are neighbours
            sch.decompose_reduction(sums, length)


def _accumulate(
    sch: Schedule, acc: SBlockRV, lead: int, multiply_add: str | None, short: bool, unroll: int
) -> list[LoopRV]:
    """Order and unroll the loops of a tile of sums, which become registers; short: all of them.

    Returns the loops over taps and steps.

    unroll : steps of the reduction to do at a time.
    """
    sch.set_scope(acc, 0, "local")
    rank = len(sch.get(acc).iter_vars)
    loops = sch.get_loops(acc)[-rank:]
    space, tile, reduction = loops[: lead - 1], loops[lead - 1 : lead + 2], loops[lead + 2 :]
    if unroll > 1:
        reduction[-2:-1] = sch.split(reduction[-2], [None, unroll])
        sch.unroll(reduction[-2])
    sch.reorder(*space, *reduction[:-1], *tile, reduction[-1])
    if multiply_add is None:
        sch.reorder(reduction[-1], tile[2])
        sch.vectorize(tile[2])
    if short:
        for loop in reduction[:-1]:
            sch.unroll(loop)
    init = sch.decompose_reduction(acc, reduction[0])
    *_, pixel, block, lane = sch.get_loops(init)
    sch.vectorize(lane)
    for loop in (pixel, block, *tile[:2]):
        sch.unroll(loop)
    if multiply_add is not None:
        sch.blockize(tile[2])  # keeps the test for a tile's end, which tensorize does not take, outside
        sch.tensorize(sch.get_loops(acc)[-2], multiply_add)
    return reduction[:-1]

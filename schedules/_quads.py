"""Schedule of "quads" functions, for AVX512-VNNI: rows of 64 bytes are interleaved by unpacks and multiplied at once.

    for space, blocks, tiles of pixels:                       # of one row, or two that have their columns in common
        for columns under a tile, unrolled:
            sums[pixel] = bias                                # for a pixel that begins here
            column = interleaved(4 rows of x)                 # unless the tile before left it in registers
            sums[pixel] += column * weight[block][tap]        # for all pixels that it is under
            out[pixel] = bytes(scaled(sums[pixel]))           # for one that ends here

So a column is interleaved once, and sums are in registers for as long as their window takes. Where a quad is several
whole pixels, interleaved columns of two quads give those between by shifting lanes, in half the shuffles. Tiles that
leave columns to the next one are small: to unroll whole rows is no faster, and takes the time to fetch so much code.
"""

from __future__ import annotations

from math import prod

from tvm.ir import Range
from tvm.s_tir import Schedule
from tvm.s_tir.stmt import SBlock
from tvm.script import tirx as T
from tvm.tirx import BufferLoad, BufferRegion, BufferStore, PrimFunc, Ramp, const

from ._common import Decisions, begun, evenly, extents, parallel
from ._quad_columns import DEPTH, LANES, QUAD, Columns
from ._quad_tiles import by_column
from ._tir import replaced, substitute

KEPT = 8
"""Vectors of columns that are left to the next tile, at most: of 5 x 5 taps there are too many for the registers."""

COLUMNS = 9
"""Under the windows of a tile that finds nothing of the one before, at most: more gain nothing, and are more code."""

ROW = 11
"""The same where one tile is the whole row."""

STEPS = 40
"""Groups of taps of all its pixels, at most: more is code that LLVM takes long to compile."""

HELD = 16
"""Vectors of weights that stay in registers from row to row, at most."""

NEAR = 160 * 1024
"""Bytes of an input that is read block of channels by block, at most: of larger ones each line is read once."""


def schedule(func: PrimFunc, tunable: bool) -> Schedule:
    """The scheduled function."""
    sch = Schedule(_stored_at_once(begun(func)))
    decisions = Decisions(sch, tunable)
    acc, scaled, out = (sch.get_sblock(name) for name in ("acc", "scaled", "out_o"))
    pixels = extents(sch, acc)[-3]
    told = sch.get(acc).annotations
    stride, dilation = int(told["tvmopt.stride"]), int(told.get("tvmopt.dilation", 1))
    width, groups = (int(axis.dom.extent) for axis in sch.get(acc).iter_vars[-3:-1])
    together = int(told["tvmopt.together"])
    columns = Columns(stride, dilation, int(sch.get(acc).reads[0].source.shape[-1]), extents(sch, out)[-1])
    keeps = len(columns.kept(1, width)) * groups * DEPTH <= KEPT
    tile = 1 if keeps else _alone(columns, pixels, width, groups * together)

    *space, pixel, block = sch.get_loops(out)
    p0, p1 = sch.split(pixel, [None, decisions.pick("pixels", tile, [n for n in range(1, 9) if pixels % n == 0])])
    space[-1], row = sch.split(space[-1], [None, together])
    blocks, size = int(sch.get(block).extent), prod(map(int, sch.get(acc).reads[0].source.shape))
    held = width * groups * DEPTH <= HELD and size <= NEAR and evenly(func, blocks)
    order = decisions.pick("order", int(held), (0, 1))
    outer = ([*space, block], [block, *space])[order]
    sch.reorder(*outer, p0, p1, row)
    p1 = sch.fuse(p1, row)
    for producer in (scaled, acc):
        sch.compute_at(producer, p1, preserve_unit_loops=True)
        sch.set_scope(producer, 0, "local")
    parallel(sch, func, (space[-1], block)[order])

    *_, sums, tap, group, row = sch.get_loops(acc)
    sch.reorder(tap, group, sums, row)
    init = sch.decompose_reduction(acc, tap)
    for producer in (init, scaled):
        vector, lane = sch.split(sch.get_loops(producer)[-1], [None, LANES])
        sch.unroll(vector)
        sch.vectorize(lane)
    for loop in (tap, group):
        sch.unroll(loop)
    sch.blockize(sums)
    if not keeps:  # else rows at the border are worth no code of their own
        sch.annotate(space[-1], "pragma_loop_partition_hint", 1)
    return Schedule(by_column(sch.mod["main"], sch.get(p0).loop_var, columns, together, keeps))


def _alone(columns: Columns, pixels: int, width: int, groups: int) -> int:
    """Pixels of a tile that finds nothing of the one before."""
    tiles = [n for n in range(1, pixels + 1) if pixels % n == 0]
    if len(columns.gathered(pixels, width)) <= ROW:
        return pixels
    return max(
        (n for n in tiles if len(columns.gathered(n, width)) <= COLUMNS and n * width * groups <= STEPS), default=1
    )


def _stored_at_once(func: PrimFunc) -> PrimFunc:
    """``func`` with one block ("out_o") that makes bytes of a quad."""
    sch = Schedule(func)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    sch.blockize(sch.split(sch.get_loops(out)[-1], [extents(sch, acc)[-2], None])[1])
    return replaced(sch.mod["main"], "out_o", _narrowed)


def _narrowed(block: SBlock, element: SBlock) -> SBlock:
    """A quad's scaled sums as bytes. Packing saturates to 16 bits first, which leaves room for the zero point.

    Quads that overlap write the same bytes.
    """
    (lane,), store, (read,) = element.iter_vars, element.body, block.reads
    *place, first = (substitute(index, {lane.var: 0}) for index in store.indices)
    elements, size = int(store.buffer.shape[-1]), int(lane.dom.extent)
    region = [*list(read.region)[:-1], Range.from_min_extent(first // size * QUAD, QUAD)]
    zero_point, low, high = (int(limit) for limit in element.annotations["tvmopt.limits"])
    vectors = [
        BufferLoad(read.source, [*place, Ramp(first // size * QUAD + v * LANES, const(1, "int32"), LANES)])
        for v in range(DEPTH)
    ]
    pairs = [T.call_llvm_pure_intrin("int16x32", "llvm.x86.avx512.packssdw.512", *vectors[i : i + 2]) for i in (0, 2)]
    to = T.broadcast(T.int16(zero_point), 2 * LANES)
    moved = [T.call_llvm_pure_intrin("int16x32", "llvm.sadd.sat", pair, to) for pair in pairs]
    value = T.call_llvm_pure_intrin("uint8x64", "llvm.x86.avx512.packuswb.512", *moved)
    value = T.max(T.min(value, T.broadcast(T.uint8(high), QUAD)), T.broadcast(T.uint8(low), QUAD))
    body = BufferStore(store.buffer, value, [*place, Ramp(T.min(first, elements - QUAD), const(1, "int32"), QUAD)])
    reads = [BufferRegion(read.source, region)]
    return SBlock(block.iter_vars, reads, block.writes, block.name_hint, body)

"""Schedule of "quads" functions, for AVX512-VNNI: rows of 64 bytes are interleaved by unpacks and multiplied at once.

    for space, blocks, tiles of pixels:
        for columns under a tile, unrolled:
            sums[pixel] = bias                                         # for a pixel that begins here
            column = interleaved(4 rows of x)
            sums[pixel] += column * weight[block][tap]                 # for all pixels that it is under
            out[pixel] = bytes(scaled(sums[pixel]))                    # for one that ends here

So a column is interleaved once, and sums are in registers for as long as their window takes. Where a quad is several
whole pixels, interleaved columns of two quads give those between by shifting lanes, in half the shuffles. Instructions
are put in by hand: tensorize does not match what is read under a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from tvm.ir import Call, Range, Var
from tvm.s_tir import Schedule
from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm.script import tirx as T
from tvm.tirx import (
    Bind,
    BufferLoad,
    BufferRegion,
    BufferStore,
    For,
    ForKind,
    IterVar,
    PrimFunc,
    Ramp,
    SeqStmt,
    Stmt,
    const,
)
from tvm_ffi import structural_map, structural_walk

from ._common import Decisions, begun, evenly, extents, parallel
from ._intrinsics import step
from ._quad_columns import DEPTH, LANES, QUAD, Columns, ramped, read, shifted
from ._shuffles import shuffle, unpacked
from ._tir import Expr, replaced, substitute

COLUMNS = 9
"""Under the windows of a tile of pixels, at most: more gain nothing, and are more code."""

ROW = 11
"""The same where one tile is the whole row."""

STEPS = 40
"""Groups of taps of all pixels of a tile, at most: more is code that LLVM takes long to compile."""

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
    columns = Columns(stride, dilation, int(sch.get(acc).reads[0].source.shape[-1]), extents(sch, out)[-1])
    tiles = [n for n in range(1, pixels + 1) if pixels % n == 0]
    fits = [n for n in tiles[:-1] if columns.gathered(n, width) <= COLUMNS and n * width * groups <= STEPS]
    tile = pixels if columns.gathered(pixels, width) <= ROW else max(fits, default=1)

    *space, pixel, block = sch.get_loops(out)
    p0, p1 = sch.split(pixel, [None, decisions.pick("pixels", tile, [n for n in range(1, 9) if pixels % n == 0])])
    blocks, size = int(sch.get(block).extent), prod(map(int, sch.get(acc).reads[0].source.shape))
    held = width * groups * DEPTH <= HELD and size <= NEAR and evenly(func, blocks)
    order = decisions.pick("order", int(held), (0, 1))
    outer = ([*space, block], [block, *space])[order]
    sch.reorder(*outer, p0, p1)
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
    for loop in (space[-1], p0):
        sch.annotate(loop, "pragma_loop_partition_hint", 1)
    return Schedule(_by_column(sch.mod["main"], sch.get(p1).loop_var, columns))


def _stored_at_once(func: PrimFunc) -> PrimFunc:
    """``func`` with one block ("out_o") that makes bytes of a quad."""
    sch = Schedule(func)
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    sch.blockize(sch.split(sch.get_loops(out)[-1], [extents(sch, acc)[-2], None])[1])
    return replaced(sch.mod["main"], "out_o", _narrowed)


def _by_column(func: PrimFunc, pixel: Expr, columns: Columns) -> PrimFunc:
    """``func`` with the tile of pixels, which the loop over ``pixel`` is, computed column by column."""

    def change(loop: For) -> Stmt:
        if not loop.loop_var.same_as(pixel):
            return loop
        begin, taps, *end = _steps(loop.body)
        add, quads, last = _Group(taps.body.body), int(loop.extent), int(taps.extent) - 1
        statements: list[Stmt] = []
        rows: dict[tuple[int, int], list[list[Expr]]] = {}
        known: dict[tuple[int, int], list[Expr]] = {}

        def at(quad: int, tap: int, group: int) -> dict[Var, int]:
            return {pixel: quad, taps.loop_var: tap, taps.body.loop_var: group}

        def rows_from(column: int, group: int) -> list[list[Expr]]:
            if (column, group) not in rows:
                quad, tap = under[column][0] if column in under else (0, column)
                made, rows[column, group] = add.read(at(quad, tap, group), beyond=column not in under)
                statements.extend(made)
            return rows[column, group]

        def gathered(column: int, group: int) -> list[Expr]:
            if (column, group) not in known:
                behind = column % columns.stride if columns.shared else 0
                made, known[column, group] = add.interleaved(rows_from(column - behind, group), behind)
                statements.extend(made)
            return known[column, group]

        under = columns.under(quads, last + 1)
        for column, places in under.items():
            statements += [_copy(begin, {pixel: p}) for p, tap in places if tap == 0]
            for group in range(int(taps.body.extent)):
                sources, elements = columns.sources(column)
                vectors = shifted([gathered(source, group) for source in sources], elements)
                statements += add(vectors, [at(p, tap, group) for p, tap in places])
            statements += [_copy(step, {pixel: p}) for p, tap in places if tap == last for step in end]
        return SeqStmt(statements)

    return func.with_body(structural_map(func.body, (For, change)))


def _steps(stmt: Stmt) -> list[Stmt]:
    """What is done one after another, without loops of one iteration."""
    if isinstance(stmt, SeqStmt):
        return [step for part in stmt.seq for step in _steps(part)]
    if isinstance(stmt, For) and int(stmt.extent) == 1 and stmt.kind == ForKind.SERIAL:
        return [substitute(step, {stmt.loop_var: 0}) for step in _steps(stmt.body)]
    return [stmt]


def _copy(stmt: Stmt, known: dict[Var, Expr]) -> Stmt:
    """``stmt`` with other expressions for variables, and with loops and axes of its own."""

    def loop(loop: For) -> For:
        var = Var(loop.loop_var.name, loop.loop_var.ty)
        body = substitute(loop.body, {loop.loop_var: var})
        return For(var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)

    def block(block: SBlock) -> SBlock:
        axes = [IterVar(axis.dom, Var(axis.var.name, axis.var.ty), axis.iter_type) for axis in block.iter_vars]
        own = {old.var: new.var for old, new in zip(block.iter_vars, axes, strict=True)}
        reads, writes, body = (substitute(part, own) for part in (block.reads, block.writes, block.body))
        return SBlock(axes, reads, writes, block.name_hint, body, annotations=block.annotations)

    return structural_map(substitute(stmt, known), [(For, loop), (SBlock, block)])


class _Group:
    """One group of rows of taps for the 64 sums of a quad; a row in the border is a vector of what is there."""

    def __init__(self, update: SBlockRealize) -> None:
        """update : what adds it to the sums of one pixel."""
        blocks: list[SBlock] = []
        structural_walk(update.block.body, (SBlock, blocks.append))
        element = blocks[-1]
        self._axes = {axis.var: value for axis, value in zip(update.block.iter_vars, update.iter_values, strict=True)}
        self._at, *self._row = (axis.var for axis in element.iter_vars)  # a single row has no axis
        self._rows = int(element.iter_vars[-1].dom.extent) if self._row else 1
        self._sums, products = element.body.value.a, element.body.value.b
        self._x, self._w = products.a.value, products.b.value
        self._stride = int(element.annotations["tvmopt.stride"])
        self._channels = int((self._x.args[1] if isinstance(self._x, Call) else self._x).source.shape[-1])

    def __call__(self, columns: Sequence[Expr], known: Sequence[dict[Var, int]]) -> list[Stmt]:
        """The statements that add a column, of four vectors, to what it is under: the values of the loops for each."""
        statements: list[Stmt] = []
        for vector, column in enumerate(columns):
            for each in known:
                there = {**self._place(each), self._at: vector * LANES, **dict.fromkeys(self._row, 0)}
                before = ramped(self._sums, there, LANES)
                after = step(LANES, DEPTH, before, column, ramped(self._w, there, QUAD))
                statements.append(BufferStore(self._sums.source, after, before.indices))
        return statements

    def read(self, known: dict[Var, int], beyond: bool) -> tuple[list[Stmt], list[list[Expr]]]:
        """The rows from the column under a tap on, and the statements that read them: each in a vector, or several
        where pixels side by side are some columns apart.

        beyond : the row may end before they do.
        """
        given = [{**self._place(known), **dict.fromkeys(self._row, number)} for number in range(self._rows)]
        statements, bound = _binding()
        return statements, [[*map(bound, read(self._x, self._at, there, self._stride, beyond))] for there in given]

    def interleaved(self, rows: Sequence[list[Expr]], behind: int) -> tuple[list[Stmt], list[Expr]]:
        """The four vectors of a column, so many behind the first one of ``rows``, and the statements that make them."""
        statements, bound = _binding()
        channels = self._channels
        pixel = [channels * (self._stride * (i // channels) + behind) + i % channels for i in range(QUAD)]
        given = [bound(shuffle(row, pixel)) if len(row) > 1 else row[0] for row in rows]
        given += given[-1:] * (DEPTH - len(given))  # their weights are 0
        pairs = {high: [bound(unpacked(given[i], given[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)}
        vectors = [bound(unpacked(*pairs[high], 2, higher)) for high in (False, True) for higher in (False, True)]
        return statements, vectors

    def _place(self, known: dict[Var, int]) -> dict[Var, Expr]:
        return {axis: substitute(value, known) for axis, value in self._axes.items()}


def _binding() -> tuple[list[Stmt], Callable[[Expr], Var]]:
    """Statements, and what adds one to them that names a value."""
    statements: list[Stmt] = []

    def bound(value: Expr) -> Var:
        statements.append(Bind(Var("column", value.ty), value))
        return statements[-1].var

    return statements, bound


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

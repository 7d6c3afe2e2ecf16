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
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod

from tvm.ir import Call, Range, TensorLoad, Var
from tvm.s_tir import Schedule
from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm.script import tirx as T
from tvm.tirx import (
    And,
    Bind,
    BufferLoad,
    BufferRegion,
    BufferStore,
    For,
    ForKind,
    IterVar,
    Not,
    PrimFunc,
    Ramp,
    SeqStmt,
    Stmt,
    const,
)
from tvm_ffi import structural_map, structural_walk

from ._common import Decisions, begun, evenly, extents, parallel
from ._interleave import shuffle, unpacked
from ._intrinsics import step
from ._tir import Expr, substitute, uses

QUAD, LANES, DEPTH = 64, 16, 4

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
    columns = _Columns(stride, dilation, int(sch.get(acc).reads[0].source.shape[-1]), extents(sch, out)[-1])
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
    return _replaced(sch.mod["main"], "out_o", _narrowed)


def _replaced(func: PrimFunc, name: str, replacement: Callable[[SBlock, SBlock], SBlock]) -> PrimFunc:
    """``func`` with another block in place of one, and of the block of an element within."""

    def change(block: SBlock) -> SBlock:
        if block.name_hint != name:
            return block
        within: list[SBlock] = []
        structural_walk(block.body, (SBlock, within.append))
        return replacement(block, within[-1])

    return func.with_body(structural_map(func.body, (SBlock, change)))


@dataclass(frozen=True)
class _Columns:
    """Columns of the input under the windows of a row's quads.

    Columns of pixels that are side by side in a quad, counted from the first one that a tile's windows cover, are
    gathered where a quad begins; those between are shifted from two that are.

    stride, dilation : steps of the window, and columns between taps.
    channels, elements : of a pixel of the input, and of the pixels that are taken as one.
    """

    stride: int
    dilation: int
    channels: int
    elements: int

    @property
    def apart(self) -> int:
        """Columns between quads of the same channels."""
        return self.stride * (self.elements // self.channels)

    @property
    def shared(self) -> bool:
        """Whether columns can be shifted: a quad is whole pixels, and one column is as far from the next as taps."""
        return self.channels < self.elements == QUAD and self.channels % DEPTH == 0 and self.dilation == 1

    def under(self, quads: int, taps: int) -> dict[int, list[tuple[int, int]]]:
        """Columns under so many neighbouring quads, in order, and whose window's tap each is: (quad, tap)."""
        under: dict[int, list[tuple[int, int]]] = {}
        for quad, tap in product(range(quads), range(taps)):
            under.setdefault(self.apart * quad + self.dilation * tap, []).append((quad, tap))
        return dict(sorted(under.items()))

    def sources(self, column: int) -> tuple[list[int], int]:
        """The columns that are gathered for a column, and by how many elements they are shifted then."""
        beside = column % self.apart // self.stride
        if not self.shared or not beside:
            return [column], 0
        begin = column - beside * self.stride
        return [begin, begin + self.apart], beside * self.channels

    def gathered(self, quads: int, taps: int) -> int:
        """How many columns are gathered for so many neighbouring quads."""
        return len({source for column in self.under(quads, taps) for source in self.sources(column)[0]})


def _by_column(func: PrimFunc, pixel: Expr, columns: _Columns) -> PrimFunc:
    """``func`` with the tile of pixels, which the loop over ``pixel`` is, computed column by column."""

    def change(loop: For) -> Stmt:
        if not loop.loop_var.same_as(pixel):
            return loop
        begin, taps, *end = _steps(loop.body)
        add, quads, last = _Group(taps.body.body), int(loop.extent), int(taps.extent) - 1
        statements: list[Stmt] = []
        known: dict[tuple[int, int], list[Expr]] = {}

        def at(quad: int, tap: int, group: int) -> dict[Var, int]:
            return {pixel: quad, taps.loop_var: tap, taps.body.loop_var: group}

        def gathered(column: int, group: int) -> list[Expr]:
            if (column, group) not in known:
                quad, tap = under[column][0] if column in under else (0, column)
                made, known[column, group] = add.gathered(at(quad, tap, group), beyond=column not in under)
                statements.extend(made)
            return known[column, group]

        under = columns.under(quads, last + 1)
        for column, places in under.items():
            statements += [_copy(begin, {pixel: p}) for p, tap in places if tap == 0]
            for group in range(int(taps.body.extent)):
                sources, elements = columns.sources(column)
                vectors = _shifted([gathered(source, group) for source in sources], elements)
                statements += add(vectors, [at(p, tap, group) for p, tap in places])
            statements += [_copy(step, {pixel: p}) for p, tap in places if tap == last for step in end]
        return SeqStmt(statements)

    return func.with_body(structural_map(func.body, (For, change)))


def _shifted(columns: Sequence[list[Expr]], elements: int) -> list[Expr]:
    """The four vectors of a column that is so many elements, a multiple of 4, behind the first of two quads'."""
    vectors = []
    for vector in range(DEPTH):
        lane, of = divmod(vector + elements // DEPTH, DEPTH)
        pair = [column[of] for column in columns]
        vectors.append(shuffle(pair, range(lane * LANES, lane * LANES + QUAD)) if lane else pair[0])
    return vectors


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

    def __call__(self, columns: Sequence[Expr], known: Sequence[dict[Var, int]]) -> list[Stmt]:
        """The statements that add a column, of four vectors, to what it is under: the values of the loops for each."""
        statements: list[Stmt] = []
        for vector, column in enumerate(columns):
            for each in known:
                there = {**self._place(each), self._at: vector * LANES, **dict.fromkeys(self._row, 0)}
                before = _vector(self._sums, there, LANES)
                after = step(LANES, DEPTH, before, column, _vector(self._w, there, QUAD))
                statements.append(BufferStore(self._sums.source, after, before.indices))
        return statements

    def gathered(self, known: dict[Var, int], beyond: bool) -> tuple[list[Stmt], list[Expr]]:
        """The four vectors of the column under a tap, and the statements that make them.

        beyond : the row may end before the quad does.
        """
        statements: list[Stmt] = []

        def bound(value: Expr) -> Var:
            statements.append(Bind(Var("column", value.ty), value))
            return statements[-1].var

        given = [{**self._place(known), **dict.fromkeys(self._row, number)} for number in range(self._rows)]
        rows = [bound(_row(self._x, self._at, there, self._stride, beyond)) for there in given]
        rows += rows[-1:] * (DEPTH - len(rows))  # their weights are 0
        pairs = {high: [bound(unpacked(rows[i], rows[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)}
        vectors = [bound(unpacked(*pairs[high], 2, higher)) for high in (False, True) for higher in (False, True)]
        return statements, vectors

    def _place(self, known: dict[Var, int]) -> dict[Var, Expr]:
        return {axis: substitute(value, known) for axis, value in self._axes.items()}


def _row(x: Expr, at: Var, there: dict[Var, int], stride: int, beyond: bool) -> Expr:
    """64 elements of a row of x; where some of them lie in the border, only the others are read.

    stride : between pixels, if they are side by side; beyond : the row may end before they do.
    """
    condition, load, border = x.args if isinstance(x, Call) else (None, x, T.uint8(0))
    terms = _terms(condition) if condition is not None else []
    above = [substitute(term, there) for term in terms if not uses(term, at)]
    first, channels = _vector(load, {at: 0, **there}, QUAD), int(load.source.shape[-1])
    if channels >= QUAD:
        value = first
    else:
        begins = range(0, QUAD * stride, QUAD)
        cut = beyond or len(above) < len(terms) or stride > 1
        read = [_part(first, begin, border, cut) for begin in begins]
        pixel = [channels * stride * (i // channels) + i % channels for i in range(QUAD)]
        value = shuffle(read, pixel) if stride > 1 else read[0]
    return T.if_then_else(reduce(And, above), value, T.broadcast(border, QUAD)) if above else value


def _part(first: TensorLoad, begin: int, border: Expr, cut: bool) -> Expr:
    """The elements that lie ``begin`` behind ``first``; cut : by the ends of a row, beyond which is the border."""
    *outer, column, channel = first.indices
    width, channels = (int(extent) for extent in first.source.shape[-2:])
    value = BufferLoad(first.source, [*outer, column, Ramp(channel.base + begin, const(1, "int32"), QUAD)])
    if not cut:
        return value
    at, end = column * channels + channel.base + begin, width * channels
    inside = And(Not(_lanes(T.max(-at, 0))), _lanes(T.max(end - at, 0)))
    address = T.address_of(BufferLoad(first.source, [*outer, column, channel.base + begin]))
    masked = T.call_llvm_pure_intrin("uint8x64", "llvm.masked.load", address, inside, T.broadcast(border, QUAD))
    return T.if_then_else(And(at >= 0, at + QUAD <= end), value, masked)


def _lanes(count: Expr) -> Expr:
    """Which lanes are the first ones. An intrinsic: TVM's loop partitioning takes no comparison of vectors."""
    return T.call_llvm_pure_intrin(f"boolx{QUAD}", "llvm.get.active.lane.mask", T.int32(0), count)


def _terms(condition: Expr) -> list[Expr]:
    """What is true where ``condition`` is."""
    return [*_terms(condition.a), *_terms(condition.b)] if isinstance(condition, And) else [condition]


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


def _vector(load: TensorLoad, there: dict[Var, int], lanes: int) -> TensorLoad:
    """``lanes`` neighbours, from where ``load`` reads when axes are ``there``."""
    *outer, last = (substitute(index, there) for index in load.indices)
    return BufferLoad(load.source, [*outer, Ramp(last, const(1, "int32"), lanes)])

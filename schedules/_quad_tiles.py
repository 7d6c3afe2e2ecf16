"""Tiles of pixels of a row, computed column by column (see ``_quads``).

Instructions are put in by hand: tensorize does not match what is read under a condition.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm.ir import Var
from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm.script import tirx as T
from tvm.tirx import (
    Bind,
    BufferLoad,
    BufferStore,
    For,
    ForKind,
    IterVar,
    PrimFunc,
    Ramp,
    SeqStmt,
    Stmt,
    const,
    decl_buffer,
)
from tvm_ffi import structural_map, structural_walk

from ._intrinsics import step
from ._quad_columns import DEPTH, LANES, QUAD, Columns, ramped, read, shifted
from ._shuffles import shuffle, unpacked
from ._tir import Expr, sequence, substitute


def by_column(func: PrimFunc, tiles: Var, columns: Columns, together: int, keeps: bool) -> PrimFunc:
    """``func`` with every tile of pixels computed column by column.

    tiles    : the variable of the loop over tiles of a row; what is in it is a loop over their pixels.
    together : neighbouring rows of which a tile has a pixel each, one after the other.
    keeps    : a tile leaves columns to the next one.
    """
    found: list[For] = []
    structural_walk(func.body, (For, lambda loop: found.append(loop) if loop.loop_var.same_as(tiles) else None))
    row = _Row(found[0], columns, together, keeps)
    body = structural_map(func.body, (For, lambda loop: row.statement() if loop.loop_var.same_as(tiles) else loop))
    root = body.block
    buffers = [*root.alloc_buffers, *([row.kept] if row.places else [])]
    given = root.iter_vars, root.reads, root.writes, root.name_hint, root.body, root.init, buffers
    root = SBlock(*given, root.match_buffers, root.annotations)
    return func.with_body(SBlockRealize(body.iter_values, body.predicate, root))


class _Row:
    """A row's tiles, one after the other.

    Attributes
    ----------
    under  : what is under a tile: its columns, and for each (pixel, tap) whose sums take it; rows that are computed
             together have pixels in turn.
    places : the columns that a tile leaves to the next one, and
    kept   : four vectors for each group of taps of each of them, in registers.
    """

    def __init__(self, tiles: For, columns: Columns, together: int, keeps: bool) -> None:
        pixels = tiles.body
        self.begin, taps, *self.end = _steps(pixels.body)
        self.loops, self.columns = (tiles, pixels, taps, taps.body), columns
        self.groups, self.last = int(taps.body.extent), int(taps.extent) - 1
        self.group = _Group(taps.body.body)
        quads = int(pixels.extent) // together
        self.under = {
            column: [(quad * together + row, tap) for quad, tap in places for row in range(together)]
            for column, places in columns.under(quads, self.last + 1).items()
        }
        self.step, self.places = columns.apart * quads, columns.kept(quads, self.last + 1) if keeps else []
        vectors = len(self.places) * self.groups * DEPTH
        self.kept = decl_buffer((vectors, LANES), "int32", "kept", scope="local")

    def statement(self) -> Stmt:
        """What computes the row."""
        tiles, *_ = self.loops
        if int(tiles.extent) == 1:
            return SeqStmt(_Tile(self, 0).computed())
        first, tile = _Tile(self, 0), _Tile(self, tiles.loop_var)
        first.keep(0)
        tile.find()
        tile.computed()
        tile.keep(self.step)
        hint = {"pragma_loop_partition_hint": 1}
        body = SeqStmt(tile.statements)
        loop = For(tiles.loop_var, tiles.min, tiles.extent, ForKind.SERIAL, body, annotations=hint)
        return sequence([*first.statements, loop])


class _Tile:
    """The statements of one tile. Columns are read and interleaved when they are first needed."""

    def __init__(self, row: _Row, number: Expr) -> None:
        self._row, self._number = row, number
        self.statements: list[Stmt] = []
        self._read: dict[tuple[int, int], list[list[Expr]]] = {}
        self._interleaved: dict[tuple[int, int], list[Expr]] = {}

    def find(self) -> None:
        """Take the columns that were kept."""
        for column, group, slots in self._slots():
            loads = (BufferLoad(self._row.kept, slot) for slot in slots)
            self._interleaved[column, group] = [
                self._bound(T.reinterpret(load, dtype=f"uint8x{QUAD}")) for load in loads
            ]

    def keep(self, behind: int) -> None:
        """Keep the columns that lie so far behind those that are found."""
        for column, group, slots in self._slots():
            for slot, vector in zip(slots, self._gathered(column + behind, group), strict=True):
                value = T.reinterpret(vector, dtype=f"int32x{LANES}")
                self.statements.append(BufferStore(self._row.kept, value, slot))

    def computed(self) -> list[Stmt]:
        """All statements, those that compute the tile last."""
        row = self._row
        for column, places in row.under.items():
            self.statements += [self._copy(row.begin, pixel) for pixel, tap in places if tap == 0]
            for group in range(row.groups):
                sources, elements = row.columns.sources(column)
                vectors = shifted([self._gathered(source, group) for source in sources], elements)
                self.statements += row.group.added(vectors, [self._at(*place, group) for place in places])
            ending = (pixel for pixel, tap in places if tap == row.last)
            self.statements += [self._copy(step, pixel) for pixel in ending for step in row.end]
        return self.statements

    def _gathered(self, column: int, group: int) -> list[Expr]:
        """The four vectors of a column."""
        if (column, group) not in self._interleaved:
            columns = self._row.columns
            behind = column % columns.stride if columns.shared else 0
            order = columns.order(behind)
            rows = [
                self._bound(shuffle(row, order)) if len(row) > 1 else row[0]
                for row in self._rows(column - behind, group)
            ]
            self._interleaved[column, group] = self._unpacked(rows)
        return self._interleaved[column, group]

    def _rows(self, column: int, group: int) -> list[list[Expr]]:
        """The rows from a column on, each in a vector, or several where pixels side by side are some columns apart."""
        if (column, group) not in self._read:
            inside = column in self._row.under
            pixel, tap = self._row.under[column][0] if inside else (0, column)
            found = self._row.group.rows(self._at(pixel, tap, group), beyond=not inside)
            self._read[column, group] = [[self._bound(vector) for vector in row] for row in found]
        return self._read[column, group]

    def _unpacked(self, rows: list[Expr]) -> list[Expr]:
        """Up to four rows of 64 bytes as four vectors of 16 words."""
        rows = rows + rows[-1:] * (DEPTH - len(rows))  # their weights are 0
        pairs = {high: [self._bound(unpacked(rows[i], rows[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)}
        return [self._bound(unpacked(*pairs[high], 2, higher)) for high in (False, True) for higher in (False, True)]

    def _bound(self, value: Expr) -> Var:
        """A name for a value."""
        var = Var("column", value.ty)
        self.statements.append(Bind(var, value))
        return var

    def _slots(self) -> list[tuple[int, int, list[list[Expr]]]]:
        """Where columns are kept: (column, group, vectors)."""
        found = [(column, group) for column in self._row.places for group in range(self._row.groups)]
        lanes = Ramp(const(0, "int32"), const(1, "int32"), LANES)
        return [(*each, [[i * DEPTH + vector, lanes] for vector in range(DEPTH)]) for i, each in enumerate(found)]

    def _at(self, *place: int) -> dict[Var, Expr]:
        """The values of the loops over tiles, pixels, taps and groups of taps: of the first of them."""
        return {loop.loop_var: value for loop, value in zip(self._row.loops, (self._number, *place), strict=False)}

    def _copy(self, stmt: Stmt, pixel: int) -> Stmt:
        return _copy(stmt, self._at(pixel))


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

    def added(self, columns: Sequence[Expr], known: Sequence[dict[Var, int]]) -> list[Stmt]:
        """The statements that add a column, of four vectors, to what it is under: the values of the loops for each."""
        statements: list[Stmt] = []
        for vector, column in enumerate(columns):
            for each in known:
                there = {**self._place(each), self._at: vector * LANES, **dict.fromkeys(self._row, 0)}
                before = ramped(self._sums, there, LANES)
                after = step(LANES, DEPTH, before, column, ramped(self._w, there, QUAD))
                statements.append(BufferStore(self._sums.source, after, before.indices))
        return statements

    def rows(self, known: dict[Var, Expr], beyond: bool) -> list[list[Expr]]:
        """See ``_Tile``. known : the values of the loops; beyond : the row may end before they do."""
        given = [{**self._place(known), **dict.fromkeys(self._row, number)} for number in range(self._rows)]
        return [read(self._x, self._at, there, self._stride, beyond) for there in given]

    def _place(self, known: dict[Var, int]) -> dict[Var, Expr]:
        return {axis: substitute(value, known) for axis, value in self._axes.items()}


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

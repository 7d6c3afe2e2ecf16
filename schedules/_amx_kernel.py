"""A contraction with AMX: tiles of sums stay in tile registers over the whole reduction.

    for groups of places whose input stays in L2, tiles of outputs:
        for tiles of places of the group:
            sums[high][wide] = 0                                   # tilezero
            for taps, steps:
                sums[:][:] += x[places] * weights[outputs]         # tileloadd, tdpbusd
            scratch = sums                                         # tilestored; 4 KiB at most
            out[tile] = epilogue(scratch)

All tiles of sums are alike, so tiles are configured once. Where they do not divide the places the last ones begin
earlier: they compute some sums again, which are not stored again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm.tirx import ForKind, PrimFunc, Ramp, Stmt

from . import _intrinsics
from ._amx_tile import LANES, Contraction, Tile
from ._common import find
from ._tir import Expr, at, loop, read_from, sequence, substitute, unravel

HELD = 3
"""Tiles that hold rows of the input, or weights, at most: a fourth one takes turns with the first."""


def write(sch: Schedule, of: Contraction, tile: Tile, parallel: bool) -> Schedule:
    """The function with the blocks "acc", "scaled" and "out" written anew, and the others as they are scheduled."""
    func, root = sch.mod["main"], sch.get(sch.get_sblock("root"))
    blocks = {name: block for name in ("acc", "scaled", "out") if (block := find(sch, name)) is not None}
    nests = [sch.get(sch.get_loops(block)[0]) for block in blocks.values()]
    own = {name: sch.get(block) for name, block in blocks.items()}
    gone = [block.writes[0].source for name, block in own.items() if name != "out"]
    kernel = _Kernel(of, tile, own, parallel)
    statements = root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]
    body = [*(stmt for stmt in statements if not any(stmt.same_as(nest) for nest in nests)), kernel.body()]
    buffers = [buffer for buffer in root.alloc_buffers if not any(buffer.same_as(other) for other in gone)]
    block = SBlock([], [], [], "root", sequence(body), alloc_buffers=buffers, annotations=root.annotations)
    return Schedule(PrimFunc(func.params, SBlockRealize([], True, block), func.ret_type, func.attrs))


class _Kernel:
    def __init__(self, of: Contraction, tile: Tile, blocks: dict[str, SBlock], parallel: bool) -> None:
        self.of, self.tile, self.parallel = of, tile, parallel
        self.out, self.scaled = blocks["out"], blocks.get("scaled")
        self.groups, self.columns = ceil(tile.count / tile.high), of.blocks // tile.wide
        self.each = ceil(self.groups / min(tile.chunks, self.groups))
        self.chunks = ceil(self.groups / self.each)
        self.sums, self.vectors, self.config = (
            tirx.decl_buffer(shape, dtype, name, scope="local", data_alignment=64)
            for name, shape, dtype in (
                ("sums", (tile.high, tile.wide, tile.rows, LANES), "int32"),
                ("vectors", (tile.wide * LANES,), "int32"),
                ("config", (8,), "int64"),
            )
        )

    def body(self) -> Stmt:
        """All of it."""
        count = self.of.batches * self.chunks * self.columns
        if self.parallel:  # every thread has tiles of its own
            return loop(count, lambda job: self._configured(self._job(job)), ForKind.PARALLEL)
        return self._configured(loop(count, self._job, ForKind.SERIAL))

    def _configured(self, body: Stmt) -> Stmt:
        """Palette 1: rows of bytes of each tile from byte 16 on, 16 bits each; rows from byte 48 on."""
        tile, sums = self.tile, self.tile.high * self.tile.wide
        config = np.zeros(64, np.uint8)
        config[0] = 1
        row_bytes, rows = config[16:48].view(np.uint16), config[48:]
        row_bytes[:sums], rows[:sums] = 4 * LANES, tile.rows
        for i in range(tile.high):
            row_bytes[self._x_register(i)], rows[self._x_register(i)] = 4 * tile.depth, tile.rows
        for j in range(tile.wide):
            row_bytes[self._w_register(j)], rows[self._w_register(j)] = 4 * LANES, tile.depth
        words = [tirx.const(int(word), "int64") for word in config.view(np.int64)]
        return tirx.SeqStmt(
            [
                *(tirx.AllocBuffer(buffer) for buffer in (self.config, self.sums, self.vectors)),
                *(tirx.BufferStore(self.config, word, [i]) for i, word in enumerate(words)),
                _instruction("ldtilecfg", at(self.config, 0)),
                body,
                _instruction("tilerelease"),
            ]
        )

    def _x_register(self, i: int) -> int:
        return self.tile.high * self.tile.wide + i % HELD

    def _w_register(self, j: int) -> int:
        return self.tile.high * self.tile.wide + min(self.tile.high, HELD) + j % HELD

    def _job(self, job: Expr) -> Stmt:
        """All tiles of places of a chunk, for one tile of outputs."""
        column, chunk = job % self.columns, job // self.columns % self.chunks
        batch = unravel(job // (self.columns * self.chunks), [extent for _, extent in self.of.batch])
        known = {var: value for (var, _), value in zip(self.of.batch, batch, strict=True)}
        first, block = chunk * self.each, column * self.tile.wide
        count = tirx.min(self.each, self.groups - first) if self.groups % self.each else self.each
        return loop(count, lambda group: self._group(known, block, first + group), ForKind.SERIAL)

    def _group(self, known: dict[Any, Expr], block: Expr, group: Expr) -> Stmt:
        tile = self.tile
        first = _at_most(group * tile.high, tile.count, tile.high)
        sums = range(tile.high * tile.wide)
        places = [{**known, **self._place(*self._start(first + i))} for i in range(tile.high)]

        def step(taps: dict[Any, Expr], step: Expr) -> Stmt:
            known = {**taps, **dict.fromkeys(self.of.taps[len(taps) :], 0), self.of.step: step, self.of.inner: 0}
            return self._multiply([{**place, **known} for place in places], block)

        return tirx.SeqStmt(
            [
                *(_instruction("tilezero", number) for number in sums),
                self._reduction({}, step),
                *(
                    _instruction(
                        "tilestored64",
                        number,
                        at(self.sums, number // tile.wide, number % tile.wide, 0, 0),
                        tirx.const(4 * LANES, "int64"),
                    )
                    for number in sums
                ),
                loop(tile.high, lambda i: self._finish(known, block, group * tile.high, first + i, i), ForKind.SERIAL),
            ]
        )

    def _start(self, number: Expr) -> tuple[Expr, Expr]:
        """The line of a tile, and where on it the tile begins."""
        tile = self.tile
        start = _at_most(number % tile.per_line * tile.rows, tile.lines.length, tile.rows)
        return number // tile.per_line, start

    def _place(self, line: Expr, at_line: Expr, folded: bool = False) -> dict[Any, Expr]:
        """Values of the variables of the space at a place of a line.

        folded : whether places are those of the output; otherwise those behind the end of a row belong to it, which
                 is the same in the input.
        """
        lines = self.tile.lines
        outer = unravel(line, [extent for _, extent in self.of.space[: -lines.axes]])
        inner = [at_line // lines.pitch, at_line % lines.pitch] if folded else [0, at_line]
        values = [*outer, *inner] if lines.axes == 2 else [*outer, at_line]
        return {var: value for (var, _), value in zip(self.of.space, values, strict=True)}

    def _reduction(self, taps: dict[Any, Expr], step: Callable[[dict[Any, Expr], Expr], Stmt]) -> Stmt:
        if len(taps) == len(self.of.outer):
            depth = self.tile.depth
            return loop(self.of.run // depth, lambda i: step(taps, i * depth), ForKind.SERIAL)
        tap = self.of.taps[len(taps)]
        return loop(self.of.outer[len(taps)], lambda i: self._reduction({**taps, tap: i}, step), ForKind.SERIAL)

    def _multiply(self, known: list[dict[Any, Expr]], block: Expr) -> Stmt:
        """One step of all sums: each operand is loaded where it is used first."""
        tile, of = self.tile, self.of
        body = []
        for i, place in enumerate(known):
            body.append(self._load(self._x_register(i), of.x, {**place, of.block: block}, of.distance))
            for j in range(tile.wide):
                if i == 0:
                    body.append(self._load(self._w_register(j), of.w, {**place, of.block: block + j}, 4 * LANES))
                number = i * tile.wide + j
                body.append(_instruction("tdpbusd", number, self._x_register(i), self._w_register(j)))
        return tirx.SeqStmt(body)

    def _load(self, register: int, load: Expr, known: dict[Any, Expr], distance: int) -> Stmt:
        known = {**dict.fromkeys((*self.of.place, self.of.lane), 0), **known}
        first = at(load.source, *(substitute(index, known) for index in load.indices))
        return _instruction("tileloadd64", register, first, tirx.const(distance, "int64"))

    def _finish(self, known: dict[Any, Expr], block: Expr, new: Expr, number: Expr, i: Expr) -> Stmt:
        """Outputs of one tile of places. new : the first tile of places that was not computed before."""
        tile, lines = self.tile, self.tile.lines
        line, start = self._start(number)

        def row(r: Expr) -> Stmt:
            place = start + r
            conditions = [place >= number % tile.per_line * tile.rows] if lines.length % tile.rows else []
            conditions += [place % lines.pitch < lines.valid] if lines.pitch > lines.valid else []
            found = {**known, **self._place(line, place, folded=True)}
            stores = self._row([found.get(var, 0) for var in self.of.place], block, (i, r))
            return tirx.IfThenElse(tirx.all(*conditions), stores, None) if conditions else stores

        rows = loop(tile.rows, row, ForKind.SERIAL)
        return tirx.IfThenElse(number >= new, rows, None) if tile.count % tile.high else rows

    def _row(self, place: list[Expr], block: Expr, of_sums: tuple[Expr, Expr]) -> Stmt:
        """All outputs of a place."""
        wide, out = self.tile.wide, self.out.body.buffer
        i, r = of_sums

        def value(stage: SBlock, j: int, lane: Expr) -> Expr:
            channel = (block + j) * LANES + lane
            result = stage.body.value
            if self.scaled is not None and stage is self.out:
                result = read_from(result, self.scaled.body.buffer, lambda _: value(self.scaled, j, lane))
            result = read_from(result, self.of.sums, lambda _: self.sums[i, j, r, lane])
            return substitute(result, dict(zip((axis.var for axis in stage.iter_vars), [*place, channel], strict=True)))

        if self.scaled is not None and wide > 1:
            vectors = [
                loop(
                    LANES,
                    lambda lane, j=j: tirx.BufferStore(self.vectors, value(self.scaled, j, lane), [j * LANES + lane]),
                    ForKind.VECTORIZED,
                )
                for j in range(wide)
            ]
            channels = Ramp(block * LANES, tirx.const(1, "int32"), wide * LANES)
            sums = [self.vectors.vload([j * LANES], f"int32x{LANES}") for j in range(wide)]
            return tirx.SeqStmt([*vectors, tirx.BufferStore(out, _intrinsics.narrowed(sums), [*place, channels])])

        def vector(j: int, lanes: int) -> Stmt:
            return loop(
                lanes,
                lambda lane: tirx.BufferStore(out, value(self.out, j, lane), [*place, (block + j) * LANES + lane]),
                ForKind.VECTORIZED,
            )

        whole, rest = divmod(int(out.shape[-1]), LANES)
        stores = [
            tirx.IfThenElse(block + j < whole, vector(j, LANES), vector(j, rest)) if rest else vector(j, LANES)
            for j in range(wide)
        ]
        return sequence(stores)


def _at_most(start: Expr, length: int, each: int) -> Expr:
    """Where a part of ``each`` begins that would begin at ``start``, so that it ends within ``length``."""
    return tirx.min(start, length - each) if length % each else start


def _instruction(name: str, *args: Expr) -> Stmt:
    """An AMX instruction; numbers of tiles are immediate."""
    operands = [tirx.const(arg, "uint8") if isinstance(arg, int) else arg for arg in args]
    return tirx.Evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *operands))

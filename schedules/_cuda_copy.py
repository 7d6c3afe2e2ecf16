"""How the factors of a tile come into a GPU's shared memory, a stage at a time.

A line (a row of x, a channel of w) has 2, 4 or 8 chunks of 16 bytes in a stage, in an order that differs from line to
line so that eight lines' chunks of one place, as well as eight neighbours in memory, lie in different banks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir import Range
from tvm.sym import Analyzer
from tvm.tirx import Stmt

from ._cuda_instructions import run
from ._cuda_parts import Parts, guarded
from ._cuda_tile import CHUNK, STEP, WORDS, Tile
from ._tir import Expr, at, flat, loop, sequence, substitute, uses

ORDERED = 0x44444444
"""The first two of every four: what positions must be where there are no weights."""

_BANKS = 8
"""Chunks that lie in different banks."""


@dataclass(frozen=True, eq=False)
class Lines:
    """One factor in shared memory.

    Attributes
    ----------
    first  : the byte at which it begins: [stages, count, chunks] of 16 bytes.
    count  : lines.
    chunks : of a line, in a stage.
    bytes  : registers for a chunk.
    """

    first: int
    count: int
    chunks: int
    bytes: Any

    @staticmethod
    def of(name: str, dtype: str, first: int, count: int, chunks: int) -> Lines:
        """A factor with these elements."""
        own = tirx.decl_buffer((CHUNK,), dtype, f"{name}_bytes", scope="local", data_alignment=CHUNK)
        return Lines(first, count, chunks, own)

    def at(self, slot: Expr, line: Expr, chunk: Expr) -> Expr:
        """The byte at which a chunk begins."""
        turned = tirx.bitwise_xor(tirx.convert(chunk), line // (_BANKS // self.chunks) % self.chunks)
        return self.first + ((slot * self.count + line) * self.chunks + turned) * CHUNK


class Copies:
    """Copies stages of both factors.

    threads     : of a block.
    row_channel : which channel of a block of 32 is line ``i`` of it.
    analyzer    : knows the extents of the grid.
    """

    def __init__(
        self, parts: Parts, tile: Tile, threads: int, row_channel: Callable[[Expr], Expr], analyzer: Analyzer
    ) -> None:
        self.parts, self.tile, self.threads, self.row_channel, self.analyzer = (
            parts, tile, threads, row_channel, analyzer
        )  # fmt: skip
        chunks = tile.steps * STEP // CHUNK
        w = tile.stages * tile.rows * chunks * tile.spread * CHUNK
        self.e = w + tile.stages * tile.columns * chunks * CHUNK
        self.x = Lines.of("x", str(parts.x.ty.dtype), 0, tile.rows, chunks * tile.spread)
        self.w = Lines.of("w", str(parts.w.ty.dtype), w, tile.columns, chunks)
        # One buffer for all, since TVM's merging of several does not see that their addresses are taken.
        self.tile_bytes = tirx.decl_buffer((tile.shared,), "uint8", "tile", scope="shared.dyn", data_alignment=CHUNK)

    @property
    def buffers(self) -> Sequence[Any]:
        """All of them."""
        return [self.tile_bytes, self.x.bytes, self.w.bytes]

    def x_at(self, slot: Expr, step: Expr, row: Expr, half: Expr) -> Expr:
        """The address of half a step of a row."""
        return at(self.tile_bytes, self.x.at(slot, row, step * 2 * self.tile.spread + half))

    def w_at(self, slot: Expr, step: Expr, block: Expr, row: Expr, half: Expr) -> Expr:
        """The address of half a step of a line of a block's weights."""
        return at(self.tile_bytes, self.w.at(slot, block * STEP + row, step * 2 + half))

    def e_at(self, slot: Expr, step: Expr, block: Expr, channel: Expr, word: Expr) -> Expr:
        """The address of a word of where a channel's pairs were in a step."""
        line = (slot * self.tile.steps + step) * self.tile.columns + block * STEP + channel
        return at(self.tile_bytes, self.e + (line * WORDS + word) * 4)

    def load(self, stage: Expr, first: Expr, batch: Expr, row_block: Expr, column_block: Expr, thread: Expr) -> Stmt:
        """Begin to copy a stage, counted from the first one; what lies beyond the factors is 0."""
        tile, parts, slot = self.tile, self.parts, stage % self.tile.stages
        stage = first + stage
        first_block = column_block * (tile.columns // STEP)

        def rows(index: Expr) -> Stmt:
            row, chunk = index // self.x.chunks, index % self.x.chunks
            step, k = stage * tile.steps + chunk // (2 * tile.spread), chunk % (2 * tile.spread) * CHUNK
            place = row_block * tile.rows + row
            exists = tirx.all(place < parts.rows, step < parts.steps)
            element = lambda j: parts.x_at(batch, place, first_block, step, k + j)  # noqa: E731
            return self._chunk(self.x, self.x.at(slot, row, chunk), element, exists)

        def weights(index: Expr) -> Stmt:
            line, chunk = index // self.w.chunks, index % self.w.chunks
            step, k = stage * tile.steps + chunk // 2, chunk % 2 * CHUNK
            block, channel = first_block + line // STEP, self.row_channel(line % STEP)
            exists = tirx.all(block < parts.blocks, step < parts.steps)
            element = lambda j: parts.w_at(batch, block, channel, step, k + j)  # noqa: E731
            return self._chunk(self.w, self.w.at(slot, line, chunk), element, exists)

        def positions(index: Expr) -> Stmt:
            pair, step, block = index % (STEP // 2) * 2, index // (STEP // 2) % tile.steps, index // (STEP // 2)
            block = block // tile.steps
            to = self.e_at(slot, step, block, pair, 0)
            block, step = first_block + block, stage * tile.steps + step
            exists = self._simple(tirx.all(block < parts.blocks, step < parts.steps))
            return run("copy16", to, parts.positions_at(block, pair, step), exists, ORDERED)

        copies = [
            self._shared_out(self.x.count * self.x.chunks, thread, rows),
            self._shared_out(self.w.count * self.w.chunks, thread, weights),
        ]
        if parts.positions is not None:
            copies.append(self._shared_out(tile.columns * tile.steps // 2, thread, positions))
        return tirx.SeqStmt(copies)

    def _shared_out(self, count: int, thread: Expr, body: Callable[[Expr], Stmt]) -> Stmt:
        """``body`` of 0 to ``count``, by all threads."""
        each, rest = divmod(count, self.threads)
        parts = [loop(each, lambda i: body(i * self.threads + thread))] if each else []
        if rest:
            parts.append(tirx.IfThenElse(thread < rest, body(each * self.threads + thread), None))
        return sequence(parts)

    def _chunk(self, lines: Lines, to: Expr, element: Callable[[Expr], Expr], exists: Expr) -> Stmt:
        """Copy 16 elements: at once where they are neighbours, by way of registers elsewhere."""
        j = tirx.Var("j", "int32")
        self.analyzer.bind(j, Range(0, CHUNK))
        exists = self._simple(exists)
        inside, source, otherwise = guarded(element(j))
        inside = self._simple(inside)
        if not self._neighbours(source, j) or uses(inside, j):
            zero = tirx.const(0, str(lines.bytes.dtype))
            gather = lambda i: tirx.BufferStore(lines.bytes, tirx.if_then_else(exists, element(i), zero), [i])  # noqa: E731
            return tirx.SeqStmt([loop(CHUNK, gather), run("move16", at(self.tile_bytes, to), at(lines.bytes, 0))])
        fill = int(np.full(4, otherwise or 0, np.uint8).view(np.int32)[0])
        first = [self._simple(substitute(index, {j: tirx.const(0)})) for index in source.indices]
        address = at(source.source, *first)
        return run("copy16", at(self.tile_bytes, to), address, tirx.all(exists, inside), tirx.const(fill))

    def _neighbours(self, load: Expr, j: Expr) -> bool:
        """Whether the elements that are read for j = 0 to 15 are neighbours and aligned."""
        if not hasattr(load, "source"):
            return False
        place = flat(load)
        start = self._simple(substitute(place, {j: tirx.const(0)}))
        aligned = self.analyzer.modular_set(start)
        together = self.analyzer.can_prove_equal(place - start, j)
        return together and int(aligned.coeff) % CHUNK == 0 and int(aligned.base) % CHUNK == 0

    def _simple(self, expr: Expr) -> Expr:
        return self.analyzer.simplify(expr)

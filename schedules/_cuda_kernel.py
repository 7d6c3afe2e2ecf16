"""Kernel of a contraction on a GPU: a block of threads computes a tile of rows (places) by columns (channels).

    for blocks of rows, blocks of channels:
        sums = 0
        for stages of the reduction:                              # several are on their way while one is multiplied
            shared memory = what the tile's rows read, the tile's weights
            sums += rows * weights                                # ``Multiply``: tensor cores, or dp4a
        out[tile] = epilogue(sums)

A convolution's rows are gathered as they are copied (implicit GEMM): 16 bytes at once where they are neighbours, one by
one elsewhere. In shared memory a step has 32 bytes of every row and channel, which lie in two halves: the second comes
first in every other four rows, so that eight rows can be read without a bank being asked twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from tvm import tirx
from tvm.ir import Call, Range
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm.sym import Analyzer
from tvm.target import Target
from tvm.tirx import ForKind, PrimFunc, Stmt

from ._common import Decisions, Product, find
from ._cuda_instructions import call
from ._cuda_tile import STEP, WORDS, Shape, Tile, anywhere, choose
from ._tir import Expr, at, flat, loop, read_from, sequence, substitute, unravel, uses

ORDERED = 0x44444444
"""The first two of every four: what positions must be where there are no weights."""


Place = Callable[..., Expr]
"""Where something lies in shared memory."""


class Multiply(Protocol):
    """The multiply-adds of a tile, spread over a block's threads.

    Attributes
    ----------
    threads : of a block.
    sums    : int32 registers of a thread.
    scratch : int32 registers for operands.
    """

    threads: int
    sums: int
    scratch: int

    def step(self, thread: Expr, c: Expr, r: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """Add one step's products to the sums ``c``; ``r`` are registers for operands.

        x(row, half), w(block, row, half) : where 16 bytes lie in shared memory. The rows of a block of weights are its
        channels in the order of ``channel_row``. Of pairs a step has 64 bytes of a row of x, which are four "halves".
        e(block, channel, word) : where 16 weights of pairs were.
        """
        ...

    def groups(self, thread: Expr) -> list[tuple[Expr, Expr, list[int]]]:
        """What ``thread`` has at the end: rows, the first of neighbouring channels, the registers of their sums."""
        ...

    def channel_row(self, channel: Expr) -> Expr:
        """The row in shared memory of a block's channel."""
        ...


def eight_columns(channel: Expr) -> Expr:
    """An order of a block's channels in which a lane's two columns of four products are 8 neighbours."""
    return channel % 8 // 2 * 8 + channel // 8 * 2 + channel % 2


@dataclass(frozen=True)
class Tiles:
    """A schedule rule: takes contractions of 8-bit weights, of pairs of them or not, with one kind of multiply-adds."""

    multiply: Callable[[Tile], Multiply]
    pairs: bool = False
    version: int = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None for anything else."""
        product = Product.of(func)
        if product is None or product != Product("contraction", STEP, STEP, "int8", self.pairs):
            return None
        sch = Schedule(func)
        tile = choose(Shape.of(func, product), Decisions(sch, tunable))
        return Schedule(_Builder(sch, tile, self.multiply(tile)).build())


def run(name: str, *args: Expr) -> Stmt:
    """An instruction as a statement."""
    return tirx.Evaluate(call(name, *args))


class _Builder:
    """Takes a function apart and writes it anew, as one kernel."""

    def __init__(self, sch: Schedule, tile: Tile, multiply: Multiply) -> None:
        for name in ("stage", "pack"):
            if (block := find(sch, name)) is not None:
                sch.compute_inline(block)
        self.func, self.tile, self.multiply = sch.mod["main"], tile, multiply
        self.annotations = sch.get(sch.get_sblock("root")).annotations
        acc, self.out = (sch.get(sch.get_sblock(name)) for name in ("acc", "out"))
        self.sums = acc.writes[0].source
        *self.space, self.blocks, _ = (int(extent) for extent in self.sums.shape)
        axes = [axis.var for axis in acc.iter_vars]
        self.place, self.block = axes[: len(self.space)], axes[len(self.space)]
        *self.taps, self.step_axis, self.inner = axes[len(self.space) + 2 :]
        extents = [int(axis.dom.extent) for axis in acc.iter_vars[len(self.space) + 2 :]]
        self.tap_extents, self.own_steps = extents[:-2], extents[-2]
        product = acc.body.value.b
        self.x_value, self.weight = product.a.value, product.b.value.source
        self.positions = next((read.source for read in acc.reads if read.source.name == "positions"), None)
        self.rows, self.steps = prod(self.space), prod(extents[:-1])
        self.x, self.w = (
            tirx.decl_buffer((tile.stages * tile.steps * size * STEP,), dtype, name, scope="shared", data_alignment=16)
            for name, dtype, size in (("x_tile", "uint8", tile.spread * tile.rows), ("w_tile", "int8", tile.columns))
        )
        words = (tile.stages * tile.steps * tile.columns * WORDS,)
        self.e = tirx.decl_buffer(words, "int32", "positions_tile", scope="shared", data_alignment=16)
        self.c, self.r = (
            tirx.decl_buffer((count,), "int32", name, scope="local", data_alignment=16)
            for name, count in (("sums", multiply.sums), ("operands", multiply.scratch))
        )
        self.other = next((read.source for read in self.out.reads if read.source.name == "other"), None)
        self.y = tirx.decl_buffer((8,), str(self.out.writes[0].source.dtype), "y", scope="local", data_alignment=8)
        dtype = "uint8" if self.other is None else str(self.other.dtype)
        self.z = tirx.decl_buffer((8,), dtype, "z", scope="local", data_alignment=8)
        self.analyzer = Analyzer()

    def build(self) -> PrimFunc:
        tile, threads = self.tile, self.multiply.threads
        row_block, column_block, thread = (tirx.Var(name, "int32") for name in ("row_block", "column_block", "thread"))
        grid = [
            ("blockIdx.x", row_block, -(-self.rows // tile.rows)),
            ("blockIdx.y", column_block, -(-self.blocks * STEP // tile.columns)),
            ("threadIdx.x", thread, threads),
        ]
        for _, var, extent in grid:
            self.analyzer.bind(var, Range(0, extent))
        body: Stmt = self._tile(row_block, column_block, thread)
        for tag, var, extent in reversed(grid):
            axis = tirx.IterVar(Range(0, extent), var, tirx.IterVar.ThreadIndex, tag)
            body = tirx.For(var, tirx.const(0), tirx.const(extent), ForKind.THREAD_BINDING, body, axis)
        root = SBlock([], [], [], "root", body, annotations=self.annotations)
        return PrimFunc(self.func.params, SBlockRealize([], True, root), self.func.ret_type, self.func.attrs)

    def _tile(self, row_block: Expr, column_block: Expr, thread: Expr) -> Stmt:
        tile = self.tile
        counts = -(-self.steps // tile.steps)
        ahead = tile.stages - 1

        def load(stage: Expr) -> Stmt:
            return tirx.SeqStmt(
                [
                    tirx.IfThenElse(stage < counts, self._load(stage, row_block, column_block, thread), None),
                    run("commit"),
                ]
            )

        def advance(stage: Expr) -> Stmt:
            slot = stage % tile.stages
            return tirx.SeqStmt(
                [
                    run("wait", ahead - 1),
                    tirx.Evaluate(tirx.call_intrin("int32", "tirx.tvm_storage_sync", "shared")),
                    load(stage + ahead),
                    loop(tile.steps, lambda step: self._multiply(slot, step, thread)),
                ]
            )

        buffers = [self.x, self.w, *([] if self.positions is None else [self.e]), self.c, self.r, self.y]
        buffers += [] if self.other is None else [self.z]
        return tirx.SeqStmt(
            [
                *(tirx.AllocBuffer(buffer) for buffer in buffers),
                # a use of the whole buffer: TVM would cut off what follows the last element whose address is taken
                *(tirx.Evaluate(buffer.data) for buffer in buffers),
                loop(self.multiply.sums, lambda i: tirx.BufferStore(self.c, tirx.const(0), [i])),
                loop(ahead, load),
                loop(counts, advance, ForKind.SERIAL),
                *self._store(row_block * tile.rows, column_block * tile.columns, thread),
            ]
        )

    def _x_at(self, slot: Expr, step: Expr, row: Expr, half: Expr) -> Expr:
        return self._at(self.tile.rows, slot * self.tile.spread, step * self.tile.spread + half // 2, row, half % 2)

    def _w_at(self, slot: Expr, step: Expr, block: Expr, row: Expr, half: Expr) -> Expr:
        return self._at(self.tile.columns, slot, step, block * STEP + row, half)

    def _at(self, rows: int, slot: Expr, step: Expr, row: Expr, half: Expr) -> Expr:
        return ((slot * self.tile.steps + step) * rows + row) * STEP + (half + row // 4) % 2 * 16

    def _multiply(self, slot: Expr, step: Expr, thread: Expr) -> Stmt:
        return self.multiply.step(
            thread,
            self.c,
            self.r,
            lambda row, half: at(self.x, self._x_at(slot, step, row, half)),
            lambda block, row, half: at(self.w, self._w_at(slot, step, block, row, half)),
            lambda block, channel, word: self.e[self._e_at(slot, step, block, channel) + word],
        )

    def _e_at(self, slot: Expr, step: Expr, block: Expr, channel: Expr) -> Expr:
        return ((slot * self.tile.steps + step) * self.tile.columns + block * STEP + channel) * WORDS

    def _load(self, stage: Expr, row_block: Expr, column_block: Expr, thread: Expr) -> Stmt:
        tile, slot = self.tile, stage % self.tile.stages

        def rows(i: Expr) -> Stmt:
            chunk = i * self.multiply.threads + thread
            halves = 2 * tile.spread
            half, step, row = chunk % halves, chunk // halves % tile.steps, chunk // (halves * tile.steps)
            place = row_block * tile.rows + row
            to = self._x_at(slot, step, row, half)
            return self._gather(to, place, column_block * (tile.columns // STEP), stage * tile.steps + step, half)

        def weights(i: Expr) -> Stmt:
            chunk = i * self.multiply.threads + thread
            half, channel, rest = chunk % 2, chunk // 2 % STEP, chunk // (2 * STEP)
            step, block = rest % tile.steps, rest // tile.steps
            to = self._w_at(slot, step, block, self.multiply.channel_row(channel), half)
            block = column_block * (tile.columns // STEP) + block
            at_step = stage * tile.steps + step
            taps = unravel(at_step // self.own_steps, self.tap_extents)
            source = at(self.weight, block, *taps, at_step % self.own_steps, channel, half * 16)
            inside = self._simple(tirx.all(block < self.blocks, at_step < self.steps))
            return run("copy16", at(self.w, to), source, inside, 0)

        def positions(i: Expr) -> Stmt:
            chunk = i * self.multiply.threads + thread
            channel, step, block = chunk % 16 * 2, chunk // 16 % tile.steps, chunk // (16 * tile.steps)
            to = self._e_at(slot, step, block, channel)
            block = column_block * (tile.columns // STEP) + block
            at_step = stage * tile.steps + step
            taps = unravel(at_step // self.own_steps, self.tap_extents)
            source = at(self.positions, block, *taps, at_step % self.own_steps, channel, 0)
            inside = self._simple(tirx.all(block < self.blocks, at_step < self.steps))
            return run("copy16", at(self.e, to), source, inside, ORDERED)

        def chunks(count: int, body: Callable[[Expr], Stmt]) -> Stmt:
            each, rest = divmod(count * tile.steps, self.multiply.threads)
            parts = [loop(each, body)] if each else []
            if rest:
                parts.append(tirx.IfThenElse(thread < rest, body(tirx.const(each)), None))
            return sequence(parts)

        copies = [chunks(2 * tile.spread * tile.rows, rows), chunks(2 * tile.columns, weights)]
        return tirx.SeqStmt(copies if self.positions is None else [*copies, chunks(tile.columns // 2, positions)])

    def _gather(self, to: Expr, row: Expr, block: Expr, step: Expr, half: Expr) -> Stmt:
        """Copy half a step of a row."""
        known = {
            **dict(zip(self.place, unravel(row, self.space), strict=True)),
            **dict(zip(self.taps, unravel(step // self.own_steps, self.tap_extents), strict=True)),
            self.block: block,
            self.step_axis: step % self.own_steps,
        }
        beyond = self._simple(tirx.all(row < self.rows, step < self.steps))

        def element(j: Expr) -> Expr:
            k = half * 16 + j
            if self.positions is None:
                return substitute(self.x_value, {**known, self.inner: k})
            # all of x is copied: its k is that of the four, and for the position in it, which a weight gives, any
            return substitute(anywhere(self.x_value, k % 4), {**known, self.inner: k // 4 * 2})

        j = tirx.Var("j", "int32")
        self.analyzer.bind(j, Range(0, 16))
        inside, source, otherwise = _guarded(element(j))
        inside = self._simple(inside)
        if not self._neighbours(source, j) or uses(inside, j):
            guarded = lambda i: tirx.if_then_else(beyond, element(i), tirx.const(0, "uint8"))  # noqa: E731
            return loop(16, lambda i: tirx.BufferStore(self.x, guarded(i), [to + i]))
        fill = int(np.full(4, otherwise or 0, np.uint8).view(np.int32)[0])
        first = [self._simple(substitute(index, {j: tirx.const(0)})) for index in source.indices]
        return run("copy16", at(self.x, to), at(source.source, *first), tirx.all(beyond, inside), tirx.const(fill))

    def _neighbours(self, load: Expr, j: Expr) -> bool:
        """Whether the elements that are read for j = 0 to 15 are neighbours and aligned."""
        if not hasattr(load, "source"):
            return False
        place = flat(load)
        start = self._simple(substitute(place, {j: tirx.const(0)}))
        aligned = self.analyzer.modular_set(start)
        together = self.analyzer.can_prove_equal(place - start, j)
        return together and int(aligned.coeff) % 16 == 0 and int(aligned.base) % 16 == 0

    def _simple(self, expr: Expr) -> Expr:
        return self.analyzer.simplify(expr)

    def _store(self, first_row: Expr, first_channel: Expr, thread: Expr) -> list[Stmt]:
        out = self.out.body.buffer
        channels = int(out.shape[-1])
        *place, channel_axis = (axis.var for axis in self.out.iter_vars)
        bytes_ = str(out.dtype) in ("int8", "uint8")

        def element(row: Expr, channel: Expr, register: int, in_z: int | None) -> tuple[Expr, list[Expr]]:
            """A result, and where it goes. in_z : where the other tensor's element has been loaded to."""
            known = {**dict(zip(place, unravel(row, self.space), strict=True)), channel_axis: channel}
            value = read_from(self.out.body.value, self.sums, lambda _: self.c[register])
            if self.other is not None and in_z is not None:
                value = read_from(value, self.other, lambda _: self.z[in_z])
            return substitute(value, known), [substitute(index, known) for index in self.out.body.indices]

        stores = []
        for row, channel, registers in self.multiply.groups(thread):
            row, channel = first_row + row, first_channel + channel
            together = bytes_ and channels % len(registers) == 0
            each = [element(row, channel + j, i, j if together else None) for j, i in enumerate(registers)]
            body: list[Stmt]
            if together:
                move, first = f"move{len(registers)}", each[0][1]
                body = [] if self.other is None else [run(move, at(self.z, 0), at(self.other, *first))]
                body += [tirx.BufferStore(self.y, value, [j]) for j, (value, _) in enumerate(each)]
                body.append(run(move, at(out, *first), at(self.y, 0)))
            else:
                body = [
                    tirx.IfThenElse(channel + j < channels, tirx.BufferStore(out, value, index), None)
                    for j, (value, index) in enumerate(each)
                ]
            inside = tirx.all(row < self.rows, channel < channels)
            stores.append(tirx.IfThenElse(inside, tirx.SeqStmt(body), None))
        return stores


def _guarded(value: Expr) -> tuple[Expr, Expr, int | None]:
    """The conditions under which a value is read, what is read, and what it is otherwise (None: no conditions)."""
    if not (isinstance(value, Call) and value.op.name.endswith("if_then_else")):
        return tirx.const(True), value, None
    condition, then, otherwise = value.args
    inner, source, same = _guarded(then)
    if not isinstance(otherwise, tirx.IntImm) or same not in (None, int(otherwise.value)):
        return tirx.const(True), value, None
    return tirx.all(condition, inner), source, int(otherwise.value)

"""Kernel of a contraction on a GPU: a block of threads computes a tile of rows (places) by columns (channels).

    for batches, blocks of rows, blocks of channels, parts of the reduction:
        sums = 0
        for stages of the reduction:                              # several are on their way while one is multiplied
            shared memory = what the tile's rows read, the tile's weights      # ``Copies``
            sums += rows * weights                                # ``Multiply``: tensor cores, or dp4a
        out[tile] = epilogue(sums)                                # ``Results``; ``Partial`` of several parts

A convolution's rows are gathered as they are copied (implicit GEMM). The weight may be an activation, too, whose "pack"
is done by the copies; its batches have weights of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tvm import tirx
from tvm.ir import Range
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm.sym import Analyzer
from tvm.target import Target
from tvm.tirx import ForKind, PrimFunc, Stmt

from ._common import Decisions, Product, threads
from ._cuda_copy import Copies
from ._cuda_cost import Gpu, choose
from ._cuda_instructions import run
from ._cuda_parts import Parts
from ._cuda_store import THREADS, Partial, Results
from ._cuda_tile import STEP, Tile
from ._tir import Expr, loop

Place = Callable[..., Expr]
"""Where something lies in shared memory."""


@dataclass(frozen=True)
class Group:
    """Neighbouring results of a thread.

    Attributes
    ----------
    row, channel : of the tile; the channel is the first one's.
    sums         : registers of the sums of products.
    row_sum, column_sums : registers of the sums of the factors' elements.
    """

    row: Expr
    channel: Expr
    sums: list[int]
    row_sum: int = 0
    column_sums: list[int] = field(default_factory=list)


class Multiply(Protocol):
    """The multiply-adds of a tile, spread over a block's threads.

    Attributes
    ----------
    threads : of a block.
    sums    : int32 registers of a thread.
    scratch : int32 registers for operands.
    line_sums : int32 registers for the sums of rows and columns, if the tile is one of bytes.
    """

    threads: int
    sums: int
    scratch: int
    line_sums: int

    def step(self, thread: Expr, c: Expr, r: Expr, s: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """Add one step's products to the sums ``c``, of bytes also their rows and columns to ``s``; ``r`` are registers
        for operands.

        x(row, half), w(block, line, half) : where 16 bytes lie in shared memory. A block of weights has its channels in
        the order of ``row_channel``. Of pairs a step has 64 bytes of a row of x, which are four "halves".
        e(block, channel, word) : where 16 weights of pairs were.
        """
        ...

    def settle(self, s: Expr, rows: bool, columns: bool) -> Stmt:
        """Make sums of rows, of columns, or both what ``groups`` says, once all steps are done."""
        ...

    def groups(self, thread: Expr) -> list[Group]:
        """What ``thread`` has at the end."""
        ...

    def row_channel(self, row: Expr) -> Expr:
        """Which of a block's channels is one of its lines in shared memory."""
        ...


def eight_columns(row: Expr) -> Expr:
    """An order of a block's channels in which a lane's two columns of four products are 8 neighbours."""
    return row % 8 // 2 * 8 + row // 8 * 2 + row % 2


@dataclass(frozen=True)
class Tiles:
    """A schedule rule: takes contractions of 8-bit weights, of pairs of them or not, with one kind of multiply-adds.

    macs   : its products for a cycle of a multiprocessor.
    oldest : the architecture that its instructions came with.
    """

    multiply: Callable[[Tile], Multiply]
    macs: int
    oldest: int
    pairs: bool = False
    version: int = 3

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None for anything else."""
        product = Product.of(func)
        if product is None or (product.op, product.lanes, product.depth) != ("contraction", STEP, STEP):
            return None
        if product.pairs != self.pairs:
            return None
        sch = Schedule(func)
        shape = replace(Parts.of(func).shape, macs=self.macs)
        gpu = Gpu(threads(func), int(target.attrs["max_shared_memory_per_block"]))
        tile = choose(shape, Decisions(sch, tunable), gpu)
        parts = Parts.of(sch.mod["main"])
        return Schedule(_Builder(parts, tile, self.multiply(tile)).build())


class _Builder:
    """Writes a function anew, as one kernel or two."""

    def __init__(self, parts: Parts, tile: Tile, multiply: Multiply) -> None:
        self.parts, self.tile, self.multiply = parts, tile, multiply
        self.analyzer = Analyzer()
        self.copies = Copies(parts, tile, multiply.threads, multiply.row_channel, self.analyzer)
        self.results = Results(parts)
        self.partial = Partial(parts, tile.splits) if tile.splits > 1 else None
        self.c, self.r, self.s = (
            tirx.decl_buffer((count,), "int32", name, scope="local", data_alignment=16)
            for name, count in (
                ("sums", multiply.sums),
                ("operands", multiply.scratch),
                ("line_sums", multiply.line_sums),
            )
        )

    def build(self) -> PrimFunc:
        func, partial = self.parts.func, self.partial
        body, allocated = self._tiles(), []
        if partial is not None:
            body, allocated = tirx.SeqStmt([body, self._add_up(partial)]), [partial.buffer]
        root = SBlock([], [], [], "root", body, alloc_buffers=allocated, annotations=self.parts.annotations)
        return PrimFunc(func.params, SBlockRealize([], True, root), func.ret_type, func.attrs)

    def _tiles(self) -> Stmt:
        """The kernel of all tiles."""
        parts, tile = self.parts, self.tile
        batches, row_blocks = parts.shape.batch, -(-parts.rows // tile.rows)
        extents = {
            "blockIdx.x": batches * row_blocks,
            "blockIdx.y": -(-parts.blocks * STEP // tile.columns),
            "blockIdx.z": tile.splits,
            "threadIdx.x": self.multiply.threads,
        }

        def body(row_block: Expr, column_block: Expr, split: Expr, thread: Expr) -> Stmt:
            return self._tile(row_block // row_blocks, row_block % row_blocks, column_block, split, thread)

        return self._grid(extents, body)

    def _add_up(self, partial: Partial) -> Stmt:
        """The kernel that adds up parts of the reduction."""
        extents = {"blockIdx.x": -(-partial.threads // THREADS), "threadIdx.x": THREADS}

        def body(block: Expr, thread: Expr) -> Stmt:
            buffers = [partial.total, partial.read, *self.results.buffers]
            add_up = partial.add_up(self.results, block * THREADS + thread)
            return tirx.SeqStmt([*_allocated(buffers), _whole(partial.buffer), add_up])

        return self._grid(extents, body)

    def _grid(self, extents: dict[str, int], body: Callable[..., Stmt]) -> Stmt:
        """``body`` of the indices of a thread."""
        axes = {tag: tirx.Var(tag.replace(".", "_"), "int32") for tag in extents}
        for tag, var in axes.items():
            self.analyzer.bind(var, Range(0, extents[tag]))
        result = body(*axes.values())
        for tag, var in reversed(axes.items()):
            axis = tirx.IterVar(Range(0, extents[tag]), var, tirx.IterVar.ThreadIndex, tag)
            result = tirx.For(var, tirx.const(0), tirx.const(extents[tag]), ForKind.THREAD_BINDING, result, axis)
        return result

    def _tile(self, batch: Expr, row_block: Expr, column_block: Expr, split: Expr, thread: Expr) -> Stmt:
        tile = self.tile
        counts = -(-self.parts.steps // tile.steps)
        each = -(-counts // tile.splits)
        ahead = tile.stages - 1

        def load(stage: Expr) -> Stmt:
            copy = self.copies.load(stage, split * each, batch, row_block, column_block, thread)
            return tirx.SeqStmt([tirx.IfThenElse(stage < each, copy, None), run("commit")])

        def advance(stage: Expr) -> Stmt:
            slot = stage % tile.stages
            return tirx.SeqStmt(
                [
                    run("wait", ahead - 1),
                    tirx.Evaluate(tirx.call_intrin("int32", "tirx.tvm_storage_sync", "shared.dyn")),
                    load(stage + ahead),
                    loop(tile.steps, lambda step: self._multiply(slot, step, thread)),
                ]
            )

        registers = [self.c, self.r, *([self.s] if tile.bytes else [])]
        zeros = [(self.c, self.multiply.sums), *([(self.s, self.multiply.line_sums)] if tile.bytes else [])]
        own = self.results.buffers if self.partial is None else [self.partial.sums]
        return tirx.SeqStmt(
            [
                *_allocated([*self.copies.buffers, *registers, *own]),
                *(loop(count, lambda i, to=to: tirx.BufferStore(to, tirx.const(0), [i])) for to, count in zeros),
                loop(ahead, load),
                loop(each, advance, ForKind.SERIAL),
                *self._store(batch, row_block * tile.rows, column_block * tile.columns, split, thread),
            ]
        )

    def _multiply(self, slot: Expr, step: Expr, thread: Expr) -> Stmt:
        copies = self.copies
        return self.multiply.step(
            thread,
            self.c,
            self.r,
            self.s,
            lambda row, half: copies.x_at(slot, step, row, half),
            lambda block, line, half: copies.w_at(slot, step, block, line, half),
            lambda block, channel, word: copies.e_at(slot, step, block, channel, word),
        )

    def _store(self, batch: Expr, first_row: Expr, first_channel: Expr, split: Expr, thread: Expr) -> list[Stmt]:
        parts = self.parts
        rows, columns = parts.row_sums is not None, parts.column_sums is not None
        statements = [self.multiply.settle(self.s, rows, columns)] if rows or columns else []
        for group in self.multiply.groups(thread):
            row, channel = first_row + group.row, first_channel + group.channel
            sums = [self.c[i] for i in group.sums]
            if self.partial is not None:
                inside = tirx.all(row < parts.rows, channel < self.partial.columns)
                body = self.partial.store(split, row, channel, sums)
            else:
                inside = tirx.all(row < parts.rows, channel < self.results.channels)
                lines = (self.s[group.row_sum] if rows else None, [self.s[i] for i in group.column_sums])
                body = self.results.store(parts.place(batch, row), channel, sums, *lines)
            statements.append(tirx.IfThenElse(inside, body, None))
        return statements


def _allocated(buffers: Sequence[Any]) -> list[Stmt]:
    """Buffers of a thread or of a block."""
    return [*(tirx.AllocBuffer(buffer) for buffer in buffers), *map(_whole, buffers)]


def _whole(buffer: Any) -> Stmt:
    """A use of all of a buffer: TVM would cut off what follows the last element whose address is taken."""
    return tirx.Evaluate(buffer.data)

"""How the sums of a contraction leave a GPU's registers: as the epilogue's results, or for a second kernel to add up.

for threads: four neighbouring sums of a row
    out = epilogue(sum over the parts of the reduction)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_instructions import run
from ._cuda_parts import Parts
from ._tir import Expr, at, loop, read_from, substitute

THREADS = 128
"""Of a block that adds up parts."""

NEIGHBOURS = 4
"""Sums that one of its threads adds up."""


class Results:
    """Stores the output."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.block = parts, parts.out
        self.out = parts.out.body.buffer
        dtype = "uint8" if parts.other is None else str(parts.other.dtype)
        self.y, self.z = (
            tirx.decl_buffer((8,), dtype, name, scope="local", data_alignment=8)
            for name, dtype in (("y", str(self.out.dtype)), ("z", dtype))
        )

    @property
    def buffers(self) -> Sequence[Any]:
        """Registers that it needs."""
        return [self.y] if self.parts.other is None else [self.y, self.z]

    @property
    def channels(self) -> int:
        """Of the output."""
        return int(self.out.shape[-1])

    def store(
        self,
        place: Sequence[Expr],
        channel: Expr,
        sums: Sequence[Expr],
        row_sum: Expr | None = None,
        column_sums: Sequence[Expr] = (),
    ) -> Stmt:
        """Store the results of neighbouring channels of a place; those beyond the last are left out.

        row_sum, column_sums : what the factors' elements sum up to, where the epilogue reads that.
        """
        parts, count = self.parts, len(sums)
        together = str(self.out.dtype) in ("int8", "uint8") and self.channels % count == 0
        *axes, last = (axis.var for axis in self.block.iter_vars)

        def element(j: int) -> tuple[Expr, list[Expr]]:
            """A result, and where it goes."""
            known = {**dict(zip(axes, place, strict=True)), last: channel + j}
            value = read_from(self.block.body.value, parts.sums, lambda _: sums[j])
            if parts.row_sums is not None:
                value = read_from(value, parts.row_sums, lambda _: row_sum)
            if parts.column_sums is not None:
                value = read_from(value, parts.column_sums, lambda _: column_sums[j])
            if parts.other is not None and together:
                value = read_from(value, parts.other, lambda _: self.z[j])
            return substitute(value, known), [substitute(index, known) for index in self.block.body.indices]

        each = [element(j) for j in range(count)]
        if not together:
            return tirx.SeqStmt(
                [
                    tirx.IfThenElse(channel + j < self.channels, tirx.BufferStore(self.out, value, index), None)
                    for j, (value, index) in enumerate(each)
                ]
            )
        move, first = f"move{count}", each[0][1]
        return tirx.SeqStmt(
            [
                *([] if parts.other is None else [run(move, at(self.z, 0), at(parts.other, *first))]),
                *(tirx.BufferStore(self.y, value, [j]) for j, (value, _) in enumerate(each)),
                run(move, at(self.out, *first), at(self.y, 0)),
            ]
        )


class Partial:
    """Sums of parts of the reduction, in global memory: int32 [splits, rows, channels in whole blocks]."""

    def __init__(self, parts: Parts, splits: int) -> None:
        self.parts, self.splits = parts, splits
        self.columns = parts.blocks * int(parts.sums.shape[-1])
        self.buffer = tirx.decl_buffer((splits, parts.rows, self.columns), "int32", "partial", data_alignment=16)
        self.sums, self.total, self.read = (
            tirx.decl_buffer((count,), "int32", name, scope="local", data_alignment=16)
            for name, count in (("part", 8), ("total", NEIGHBOURS), ("read", NEIGHBOURS))
        )

    def store(self, split: Expr, row: Expr, channel: Expr, sums: Sequence[Expr]) -> Stmt:
        """Store neighbouring sums."""
        moves = range(0, len(sums), NEIGHBOURS)
        return tirx.SeqStmt(
            [
                *(tirx.BufferStore(self.sums, value, [j]) for j, value in enumerate(sums)),
                *(run("move16", at(self.buffer, split, row, channel + j), at(self.sums, j)) for j in moves),
            ]
        )

    def add_up(self, results: Results, index: Expr) -> Stmt:
        """What the second kernel's thread ``index`` does."""
        wide = self.columns // NEIGHBOURS
        row, channel = index // wide, index % wide * NEIGHBOURS

        def add(split: Expr) -> Stmt:
            return tirx.SeqStmt(
                [
                    run("move16", at(self.read, 0), at(self.buffer, split, row, channel)),
                    loop(NEIGHBOURS, lambda j: tirx.BufferStore(self.total, self.total[j] + self.read[j], [j])),
                ]
            )

        body = [
            loop(NEIGHBOURS, lambda j: tirx.BufferStore(self.total, tirx.const(0), [j])),
            loop(self.splits, add),
            results.store(self.parts.place(tirx.const(0), row), channel, [self.total[j] for j in range(NEIGHBOURS)]),
        ]
        inside = tirx.all(row < self.parts.rows, channel < results.channels)
        return tirx.IfThenElse(inside, tirx.SeqStmt(body), None)

    @property
    def threads(self) -> int:
        """Of the second kernel, in all."""
        return self.parts.rows * (self.columns // NEIGHBOURS)

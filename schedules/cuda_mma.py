"""Tensor cores of Ampere and later: mma.sync m16n8k32 (u8 x s8, or u8), operands by ldmatrix from shared memory."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_cost import MMA
from ._cuda_instructions import add_bytes, run
from ._cuda_kernel import Group, Place, Tiles, eight_columns
from ._cuda_tile import STEP, Warps
from ._tir import Expr, at, loop, sequence


@dataclass(frozen=True)
class Mma(Warps):
    """Every warp computes ``rows`` x ``columns`` of a tile.

    Lane l has of c[16, 8] rows l / 4 and 8 more, columns l % 4 * 2 and the next (PTX ISA 9.1, 9.7.14.5.10).
    """

    @property
    def scratch(self) -> int:
        return self.rows // 16 * 4 + self.columns // 16 * 4

    @property
    def line_sums(self) -> int:
        return self.rows // 8 + self.columns // 4

    def step(self, thread: Expr, c: Expr, r: Expr, s: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        high, wide = self.rows // 16, self.columns // 16
        mma = "mma_u8" if self.tile.bytes else "mma"
        products = [
            loop(high, lambda i: run("ldmatrix", at(r, i * 4), x(row + i * 16 + lane % 16, lane // 16))),
            loop(
                wide,
                lambda j: run(
                    "ldmatrix",
                    at(r, (high + j) * 4),
                    w(block + j // 2, j % 2 * 16 + lane // 16 * 8 + lane % 8, lane // 8 % 2),
                ),
            ),
            loop(
                high,
                lambda i: loop(
                    wide * 2, lambda j: run(mma, at(c, (i * wide * 2 + j) * 4), at(r, i * 4), at(r, high * 4 + j * 2))
                ),
            ),
        ]
        sums = [
            loop(high * 4, lambda i: add_bytes(s, i // 4 * 2 + i % 2, r[i])),
            loop(wide * 4, lambda j: add_bytes(s, high * 2 + j // 2 * 2, r[high * 4 + j])),
        ]
        return tirx.SeqStmt([*products, *(sums if self.tile.bytes else [])])

    def settle(self, s: Expr, rows: bool, columns: bool) -> Stmt:
        """See ``Multiply``: a lane has summed a fourth of rows l / 4 and 8 more, and of one of eight columns."""
        first = self.rows // 8
        own = [loop(first, lambda i: run("row_sum", at(s, i)))] if rows else []
        if columns:
            own.append(loop(self.columns // 8, lambda j: run("column_sum", at(s, first + j * 2))))
        return sequence(own)

    def row_channel(self, row: Expr) -> Expr:
        """See ``eight_columns``."""
        return eight_columns(row)

    def groups(self, thread: Expr) -> list[Group]:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        return [
            Group(
                row + i * 16 + half * 8 + lane // 4,
                (block + b) * STEP + lane % 4 * 8,
                [((i * self.columns // 8) + b * 4 + j // 2) * 4 + half * 2 + j % 2 for j in range(8)],
                i * 2 + half,
                [self.rows // 8 + b * 8 + j for j in range(8)],
            )
            for i in range(self.rows // 16)
            for b in range(self.columns // STEP)
            for half in range(2)
        ]


def rule() -> Tiles:
    """The rule of this module."""
    return Tiles(Mma.of, MMA, 80)

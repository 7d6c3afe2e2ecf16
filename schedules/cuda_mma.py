"""Tensor cores of Ampere and later: mma.sync m16n8k32 (u8 x s8), operands by ldmatrix from shared memory."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_kernel import Place, Tiles, eight_columns, run
from ._cuda_tile import STEP, Warps
from ._tir import Expr, at, loop


@dataclass(frozen=True)
class Mma(Warps):
    """Every warp computes ``rows`` x ``columns`` of a tile.

    Lane l has of c[16, 8] rows l / 4 and 8 more, columns l % 4 * 2 and the next (PTX ISA 9.1, 9.7.14.5.10).
    """

    @property
    def scratch(self) -> int:
        return self.rows // 16 * 4 + self.columns // 16 * 4

    def step(self, thread: Expr, c: Expr, r: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        high, wide = self.rows // 16, self.columns // 16
        return tirx.SeqStmt(
            [
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
                        wide * 2,
                        lambda j: run("mma", at(c, (i * wide * 2 + j) * 4), at(r, i * 4), at(r, high * 4 + j * 2)),
                    ),
                ),
            ]
        )

    def channel_row(self, channel: Expr) -> Expr:
        """See ``eight_columns``."""
        return eight_columns(channel)

    def groups(self, thread: Expr) -> list[tuple[Expr, Expr, list[int]]]:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        return [
            (
                row + i * 16 + half * 8 + lane // 4,
                (block + b) * STEP + lane % 4 * 8,
                [((i * self.columns // 8) + b * 4 + j // 2) * 4 + half * 2 + j % 2 for j in range(8)],
            )
            for i in range(self.rows // 16)
            for b in range(self.columns // STEP)
            for half in range(2)
        ]


def rule() -> Tiles:
    """The rule of this module."""
    return Tiles(Mma.of)

"""GPUs without int8 tensor cores for it, and few rows: dp4a, four products and a sum in an instruction."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_kernel import Place, Tiles, eight_columns, run
from ._cuda_tile import STEP, Tile
from ._tir import Expr, at, loop

ROWS, COLUMNS = 4, 8
"""Of a thread."""


@dataclass(frozen=True)
class Dp4a:
    """Every thread computes 4 rows, far apart, of 8 neighbouring channels."""

    tile: Tile

    @property
    def threads(self) -> int:
        return self.tile.rows // ROWS * (self.tile.columns // COLUMNS)

    sums = ROWS * COLUMNS
    scratch = (ROWS + COLUMNS) * 4

    def step(self, thread: Expr, c: Expr, r: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """See ``Multiply``."""
        row, channel = self._place(thread)

        def half(h: Expr) -> Stmt:
            return tirx.SeqStmt(
                [
                    loop(ROWS, lambda i: run("load16", at(r, i * 4), x(row + i * (self.tile.rows // ROWS), h))),
                    loop(
                        COLUMNS,
                        lambda j: run(
                            "load16",
                            at(r, (ROWS + j) * 4),
                            w(channel // STEP, self.channel_row(channel % STEP + j), h),
                        ),
                    ),
                    loop(ROWS, lambda i: loop(COLUMNS, lambda j: loop(4, lambda k: self._dot(c, r, i, j, k)))),
                ]
            )

        return loop(2, half)

    def channel_row(self, channel: Expr) -> Expr:
        """See ``eight_columns``."""
        return eight_columns(channel)

    def groups(self, thread: Expr) -> list[tuple[Expr, Expr, list[int]]]:
        """See ``Multiply``."""
        row, channel = self._place(thread)
        return [
            (row + i * (self.tile.rows // ROWS), channel, [i * COLUMNS + j for j in range(COLUMNS)])
            for i in range(ROWS)
        ]

    def _dot(self, c: Expr, r: Expr, i: Expr, j: Expr, k: Expr) -> Stmt:
        return run("dp4a", at(c, i * COLUMNS + j), r[i * 4 + k], r[(ROWS + j) * 4 + k])

    def _place(self, thread: Expr) -> tuple[Expr, Expr]:
        """The first row, and the first channel."""
        wide = self.tile.columns // COLUMNS
        return thread // wide, thread % wide * COLUMNS


def rule() -> Tiles:
    """The rule of this module."""
    return Tiles(Dp4a)

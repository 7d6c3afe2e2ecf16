"""GPUs without int8 tensor cores for it, and few rows: dp4a, four products and a sum in an instruction."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_cost import DP4A
from ._cuda_instructions import add_bytes, run
from ._cuda_kernel import Group, Place, Tiles, eight_columns
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

    line_sums = ROWS + COLUMNS

    def step(self, thread: Expr, c: Expr, r: Expr, s: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """See ``Multiply``."""
        row, channel = self._place(thread)

        def half(h: Expr) -> Stmt:
            own = [
                loop(ROWS, lambda i: run("move16", at(r, i * 4), x(row + i * (self.tile.rows // ROWS), h))),
                loop(
                    COLUMNS,
                    lambda j: run(
                        "move16", at(r, (ROWS + j) * 4), w(channel // STEP, self.row_channel(channel % STEP + j), h)
                    ),
                ),
                loop(ROWS, lambda i: loop(COLUMNS, lambda j: loop(4, lambda k: self._dot(c, r, i, j, k)))),
            ]
            if self.tile.bytes:
                own.append(loop((ROWS + COLUMNS) * 4, lambda i: add_bytes(s, i // 4, r[i])))
            return tirx.SeqStmt(own)

        return loop(2, half)

    def settle(self, s: Expr, rows: bool, columns: bool) -> Stmt:
        """See ``Multiply``: every thread has summed whole rows and columns."""
        return tirx.Evaluate(tirx.const(0))

    def row_channel(self, row: Expr) -> Expr:
        """See ``eight_columns``, which is its own inverse."""
        return eight_columns(row)

    def groups(self, thread: Expr) -> list[Group]:
        """See ``Multiply``."""
        row, channel = self._place(thread)
        return [
            Group(
                row + i * (self.tile.rows // ROWS),
                channel,
                [i * COLUMNS + j for j in range(COLUMNS)],
                i,
                [ROWS + j for j in range(COLUMNS)],
            )
            for i in range(ROWS)
        ]

    def _dot(self, c: Expr, r: Expr, i: Expr, j: Expr, k: Expr) -> Stmt:
        dp4a = "dp4a_u8" if self.tile.bytes else "dp4a"
        return run(dp4a, at(c, i * COLUMNS + j), r[i * 4 + k], r[(ROWS + j) * 4 + k])

    def _place(self, thread: Expr) -> tuple[Expr, Expr]:
        """The first row, and the first channel."""
        wide = self.tile.columns // COLUMNS
        return thread // wide, thread % wide * COLUMNS


def rule() -> Tiles:
    """The rule of this module."""
    return Tiles(Dp4a, DP4A, 61)

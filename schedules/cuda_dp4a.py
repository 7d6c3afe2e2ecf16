"""GPUs without int8 tensor cores for it, and few rows: dp4a, four products and a sum in an instruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc, Stmt

from ._common import Product
from ._cuda_kernel import at, channel_row, kernel, loop, run
from ._cuda_tile import STEP, Shape, Tile, tiles

Expr = Any

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

    def step(self, thread: Expr, c: Expr, r: Expr, x: Callable[..., Expr], w: Callable[..., Expr]) -> Stmt:
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
                            w(channel // STEP, channel_row(channel % STEP + j), h),
                        ),
                    ),
                    loop(ROWS, lambda i: loop(COLUMNS, lambda j: loop(4, lambda k: self._dot(c, r, i, j, k)))),
                ]
            )

        return loop(2, half)

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


class Rule:
    """See the module's text."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | list[Schedule] | None:
        """The schedule of a contraction of 8-bit weights, or those to choose from; None for anything else."""
        product = Product.of(func)
        if product is None or (product.op, product.depth, product.w) != ("contraction", STEP, "int8"):
            return None
        found = [kernel(func, tile, Dp4a(tile)) for tile in tiles(Shape.of(func), tunable)]
        return found if tunable else found[0]


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

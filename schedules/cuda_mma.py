"""Tensor cores of Ampere and later: mma.sync m16n8k32 (u8 x s8), operands by ldmatrix from shared memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc, Stmt

from ._common import Product
from ._cuda_kernel import at, kernel, loop, run
from ._cuda_tile import STEP, Shape, Tile, tiles

Expr = Any

WARP = 32


@dataclass(frozen=True)
class Mma:
    """Every warp computes ``rows`` x ``columns`` of a tile.

    Lane l has of c[16, 8] rows l / 4 and 8 more, columns l % 4 * 2 and the next (PTX ISA 8.5, 9.7.14.5.10).
    """

    tile: Tile
    rows: int
    columns: int

    @property
    def threads(self) -> int:
        return self.tile.rows // self.rows * (self.tile.columns // self.columns) * WARP

    @property
    def sums(self) -> int:
        return self.rows * self.columns // WARP

    @property
    def scratch(self) -> int:
        return self.rows // 16 * 4 + self.columns // 16 * 4

    def step(self, thread: Expr, c: Expr, r: Expr, x: Callable[..., Expr], w: Callable[..., Expr]) -> Stmt:
        """See ``Multiply``."""
        lane, row, block = self._place(thread)
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

    def groups(self, thread: Expr) -> list[tuple[Expr, Expr, list[int]]]:
        """See ``Multiply``."""
        lane, row, block = self._place(thread)
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

    def _place(self, thread: Expr) -> tuple[Expr, Expr, Expr]:
        """Lane, and the first row and block of the warp."""
        warp, high = thread // WARP, self.tile.rows // self.rows
        return thread % WARP, warp % high * self.rows, warp // high * (self.columns // STEP)


class Rule:
    """See the module's text."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | list[Schedule] | None:
        """The schedule of a contraction of 8-bit weights, or those to choose from; None for anything else."""
        product = Product.of(func)
        if product is None or (product.op, product.depth, product.w) != ("contraction", STEP, "int8"):
            return None
        found = [kernel(func, tile, Mma(tile, *_warp(tile))) for tile in tiles(Shape.of(func), tunable)]
        return found if tunable else found[0]


def _warp(tile: Tile) -> tuple[int, int]:
    """Rows and columns of a warp: two warps in the smallest tile, eight in the largest."""
    if tile.rows >= 128:
        return 32, min(tile.columns, 64)
    return (32 if tile.columns > 32 else 16), 32


def rule() -> Rule:
    """The rule of this module."""
    return Rule()

"""Tensor cores on 2:4 weights, Ampere and later: mma.sp m16n8k64 multiplies the pairs with what they meet.

The sparse operand is the first one, so the product is the transposed one: rows are channels, columns are places.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import Stmt

from ._cuda_cost import MMA_SP
from ._cuda_instructions import run
from ._cuda_kernel import Group, Place, Tiles
from ._cuda_tile import STEP, Warps
from ._tir import Expr, at, loop


@dataclass(frozen=True)
class SparseMma(Warps):
    """Every warp computes ``rows`` x ``columns`` of a tile.

    Lane l has of c[16, 8] channels l / 4 and 8 more, places l % 4 * 2 and the next. Where pairs were, lane l says for
    channel l / 4, and 8 more if l is odd, and for the second half of the step if l / 2 is: 16 weights in 32 bits, the
    first lowest. Sources: PTX ISA 9.1, 9.7.14.6.2.6 (figures 130 to 137) and 9.7.14.6.1, by which every lane says
    something, so that the sparsity selector is 0. CUTLASS has the same in numbers: ``ELayout`` of
    ``SM120_SPARSE_16x8x64_TN`` (``cute/atom/mma_traits_sm120_sparse.hpp``), (8 t0 + 512 t1 + t2) + 16 v in [16, 64].
    """

    @property
    def scratch(self) -> int:
        return self.columns // 16 * 5 + self.rows // 8 * 4

    line_sums = 0

    def step(self, thread: Expr, c: Expr, r: Expr, s: Expr, x: Place, w: Place, e: Place) -> Stmt:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        high, wide = self.columns // 16, self.rows // 8
        first_x, first_e = high * 4, (high + wide) * 4

        def position(i: Expr) -> Stmt:
            channel = lane // 4 * 4 + i % 2 * 2 + lane % 2
            return run("move4", at(r, first_e + i), e(block + i // 2, channel, lane // 2 % 2))

        def product(i: Expr, j: Expr) -> Stmt:
            return run("mma_sp", at(c, (i * wide + j) * 4), at(r, i * 4), at(r, first_x + j * 4), r[first_e + i])

        return tirx.SeqStmt(
            [
                loop(
                    high,
                    lambda i: run("ldmatrix", at(r, i * 4), w(block + i // 2, i % 2 * 16 + lane % 16, lane // 16)),
                ),
                loop(wide, lambda j: run("ldmatrix", at(r, first_x + j * 4), x(row + j * 8 + lane % 8, lane // 8))),
                loop(high, position),
                loop(high, lambda i: loop(wide, lambda j: product(i, j))),
            ]
        )

    def settle(self, s: Expr, rows: bool, columns: bool) -> Stmt:
        """See ``Multiply``."""
        raise AssertionError("2:4 weights are constants: their zero points and sums are in the bias")

    def row_channel(self, row: Expr) -> Expr:
        """A lane's two channels of two products are 4 neighbours."""
        return row % 8 * 4 + row // 16 * 2 + row // 8 % 2

    def groups(self, thread: Expr) -> list[Group]:
        """See ``Multiply``."""
        lane, row, block = self.place(thread)
        wide = self.rows // 8
        return [
            Group(
                row + j * 8 + lane % 4 * 2 + k,
                (block + b) * STEP + lane // 4 * 4,
                [((b * 2 + i // 2) * wide + j) * 4 + i % 2 * 2 + k for i in range(4)],
            )
            for b in range(self.columns // STEP)
            for j in range(wide)
            for k in range(2)
        ]


def rule() -> Tiles:
    """The rule of this module."""
    return Tiles(SparseMma.of, MMA_SP, 80, pairs=True)

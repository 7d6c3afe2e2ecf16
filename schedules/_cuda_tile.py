"""How a contraction is cut into tiles for a GPU (``_cuda_kernel``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._tir import Expr

if TYPE_CHECKING:
    from typing_extensions import Self


STEP = 32
"""Bytes of a row, and channels of a block, in one step of the packed weights."""

CHUNK = 16
"""Bytes that are copied at once."""

WORDS = 2
"""Words that tell where the pairs of a channel's step were."""

WARP = 32
"""Threads that run together."""


@dataclass(frozen=True)
class Tile:
    """How a contraction is cut.

    Attributes
    ----------
    rows    : of a block of threads.
    columns : channels of a block, a multiple of 32.
    steps   : of 32 elements of the reduction, in a stage.
    stages  : in shared memory.
    splits  : parts of the reduction, in different blocks; what they sum is added up by another kernel.
    pairs   : whether a step has 64 elements of the reduction, of which half are stored.
    bytes   : whether both factors are u8: their zero points are taken off afterwards, by sums of rows and columns.
    """

    rows: int
    columns: int
    steps: int
    stages: int
    splits: int = 1
    pairs: bool = False
    bytes: bool = False

    @property
    def spread(self) -> int:
        """Times 32 bytes of a row in a step."""
        return 2 if self.pairs else 1

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        positions = WORDS * 4 * self.columns if self.pairs else 0
        return self.stages * self.steps * (STEP * (self.spread * self.rows + self.columns) + positions)


@dataclass(frozen=True)
class Warps:
    """A tile shared out among warps, of ``rows`` x ``columns`` each, on tensor cores.

    Two warps in the smallest tile, eight in the largest.
    """

    tile: Tile
    rows: int
    columns: int

    @classmethod
    def of(cls, tile: Tile) -> Self:
        """How a tile is best shared out."""
        if tile.rows >= 128:
            return cls(tile, 64 if tile.columns > 128 else 32, min(tile.columns, 64))
        return cls(tile, 32 if tile.columns > 32 else 16, 32)

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.tile.rows // self.rows * (self.tile.columns // self.columns) * WARP

    @property
    def sums(self) -> int:
        """Of a thread."""
        return self.rows * self.columns // WARP

    def place(self, thread: Expr) -> tuple[Expr, Expr, Expr]:
        """Lane, and the first row and block of the warp."""
        warp, high = thread // WARP, self.tile.rows // self.rows
        return thread % WARP, warp % high * self.rows, warp // high * (self.columns // STEP)

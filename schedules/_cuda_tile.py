"""How a contraction is cut into tiles for a GPU (``_cuda_kernel``)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc
from tvm_ffi import structural_map

from ._common import Decisions, Product
from ._tir import Expr, uses

if TYPE_CHECKING:
    from typing_extensions import Self


STEP = 32
"""Bytes of a row, and channels of a block, in one step of the packed weights."""

WORDS = 2
"""Words that tell where the pairs of a channel's step were."""

SHARED = 48 * 1024
"""Bytes of shared memory that a block has on every GPU without asking."""

WARP = 32
"""Threads that run together."""

BLOCKS = 108
"""Blocks of threads that keep a large GPU busy: multiprocessors of an A100."""


@dataclass(frozen=True)
class Tile:
    """How a contraction is cut.

    Attributes
    ----------
    rows    : of a block of threads.
    columns : channels of a block, a multiple of 32.
    steps   : of 32 elements of the reduction, in a stage.
    stages  : in shared memory.
    pairs   : whether a step has 64 elements of the reduction, of which half are stored.
    """

    rows: int
    columns: int
    steps: int
    stages: int
    pairs: bool

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
            return cls(tile, 32, min(tile.columns, 64))
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


@dataclass(frozen=True)
class Shape:
    """What is computed.

    Attributes
    ----------
    rows    : places of the output.
    columns : output channels, in whole blocks.
    steps   : of 32 elements of the reduction, or 64 of which half are stored (``pairs``).
    grouped : whether blocks of channels read different inputs.
    """

    rows: int
    columns: int
    steps: int
    grouped: bool
    pairs: bool

    @staticmethod
    def of(func: PrimFunc, product: Product) -> Shape:
        """The shape of a contraction."""
        sch = Schedule(func)
        acc = sch.get(sch.get_sblock("acc"))
        *space, blocks, lanes = (int(extent) for extent in acc.writes[0].source.shape)
        steps = prod(int(axis.dom.extent) for axis in acc.iter_vars[len(space) + 2 : -1])
        block = acc.iter_vars[len(space)].var
        x = acc.body.value.b.a
        grouped = uses(anywhere(x, tirx.const(0)), block)
        return Shape(prod(space), blocks * lanes, steps, grouped, product.pairs)


def choose(shape: Shape, decisions: Decisions) -> Tile:
    """The tile for a shape.

    By default the largest that leaves a block for every multiprocessor, of equal ones the one that reads the least;
    where there are not so many, the smallest.
    """
    columns = [n for n in (32, 64, 128) if n == 32 or (n < 2 * shape.columns and not shape.grouped)]
    rows = [m for m in (32, 64, 128) if m == 32 or m < 2 * shape.rows]
    largest_first = sorted(
        itertools.product(rows, columns), key=lambda tile: (prod(tile), -sum(tile), tile), reverse=True
    )
    busy = (tile for tile in largest_first if ceil(shape.rows / tile[0]) * ceil(shape.columns / tile[1]) >= BLOCKS)
    m, n = next(busy, largest_first[-1])
    m, n = decisions.pick("rows", m, rows), decisions.pick("columns", n, columns)
    tile = Tile(m, n, 1 if shape.pairs else min(2, shape.steps), decisions.pick("stages", 4, (2, 3)), shape.pairs)
    while tile.shared > SHARED:
        tile = replace(tile, stages=tile.stages - 1)
    return tile


def anywhere(x: Expr, position: Expr) -> Expr:
    """What pairs meet, at a given position of every four for the one that the weight gives."""
    return structural_map(x, [(tirx.BitwiseAnd, lambda _: position)])

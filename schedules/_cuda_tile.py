"""How a contraction is cut into tiles for a GPU (``_cuda_kernel``)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc
from tvm.tirx.analysis import undefined_vars

from ._common import Product

if TYPE_CHECKING:
    from typing_extensions import Self

Expr = Any

STEP = 32
"""Bytes of a row, and channels of a block, in one step of the packed weights."""

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
    """

    rows: int
    columns: int
    steps: int
    stages: int

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        return self.stages * self.steps * STEP * (self.rows + self.columns)


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
        grouped = uses(x, block) and not product.pairs  # where pairs were differs anyway; they come in one group
        return Shape(prod(space), blocks * lanes, steps, grouped, product.pairs)


def tiles(shape: Shape, tunable: bool) -> list[Tile]:
    """The default tile, or first it and then all others that fit.

    The largest that leaves a block for every multiprocessor; where there are not so many, the smallest that is no
    smaller than the output.
    """
    columns = [32] if shape.grouped else [128, 64, 32]
    steps = 1 if shape.pairs else min(2, shape.steps)
    fits = [
        Tile(m, n, steps, stages)
        for m, n in ((128, 128), (128, 64), (64, 64), (128, 32), (64, 32), (32, 32))
        if n in columns and (n == 32 or n < 2 * shape.columns) and (m == 32 or m < 2 * shape.rows)
        for stages in ((3, 2) if m == n == 128 else (4, 3, 2))
    ]
    busy = [tile for tile in fits if -(-shape.rows // tile.rows) * -(-shape.columns // tile.columns) >= BLOCKS]
    default = busy[0] if busy else fits[-3]
    return [default, *(tile for tile in fits if tile != default)] if tunable else [default]


def uses(expr: Expr, var: Expr) -> bool:
    """Whether an expression depends on a variable."""
    return var in set(undefined_vars(expr))

"""How a contraction is cut into tiles for a GPU (``_cuda_kernel``)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc
from tvm.tirx.analysis import undefined_vars

Expr = Any

STEP = 32
"""Bytes of a row, and channels of a block, in one step of the packed weights."""

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
class Shape:
    """What is computed.

    Attributes
    ----------
    rows    : places of the output.
    columns : output channels, in whole blocks.
    steps   : of 32 elements of the reduction.
    grouped : whether blocks of channels read different inputs.
    """

    rows: int
    columns: int
    steps: int
    grouped: bool

    @staticmethod
    def of(func: PrimFunc) -> Shape:
        """The shape of a contraction."""
        sch = Schedule(func)
        acc = sch.get(sch.get_sblock("acc"))
        *space, blocks, lanes = (int(extent) for extent in acc.writes[0].source.shape)
        steps = prod(int(axis.dom.extent) for axis in acc.iter_vars[len(space) + 2 : -1])
        block = acc.iter_vars[len(space)].var
        return Shape(prod(space), blocks * lanes, steps, uses(acc.body.value.b.a, block))


def tiles(shape: Shape, tunable: bool) -> list[Tile]:
    """The default tile, or first it and then all others that fit.

    The largest that leaves a block for every multiprocessor; where there are not so many, the smallest that is no
    smaller than the output.
    """
    columns = [32] if shape.grouped else [128, 64, 32]
    steps = min(2, shape.steps)
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

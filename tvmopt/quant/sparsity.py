"""Where the zeros of a weight are: channels, blocks that kernels can skip, N:M structure."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from .regions import Conv, MatMul
from .slicing import centered

BLOCKS = ((16, 64), (16, 4), (16, 1), (4, 1), (1, 4), (1, 1))
"""Outputs x inputs of the blocks that kernels skip: tiles of AMX and VNNI, finer ones for matrix x vector, and single
zeros, which bound what any could skip."""

TILE = 4
"""Outputs of one input that the smallest tile has which kernels skip; larger tiles are made of such."""

SPARSE = 0.5
"""Share of zeros below which no kernel skips any."""

PATTERNS = ((1, 4), (2, 4))
"""N:M patterns that hardware knows, strictest first: N of M consecutive input channels are not zero."""


@dataclass(frozen=True)
class Zeros:
    """The zeros of a weight: elements equal to its zero point.

    Attributes
    ----------
    shape          : [outputs, inputs of one group, taps].
    zeros          : elements that are zero.
    dead_outputs   : output channels with nothing but zeros; dead_inputs: likewise.
    zero_blocks    : "outputs x inputs" -> share of such blocks, at one place of the kernel, that are all zero.
    pattern        : the strictest of ``PATTERNS`` that it follows, as "2:4"; "" for none.
    """

    shape: tuple[int, int, int]
    zeros: int
    dead_outputs: int
    dead_inputs: int
    zero_blocks: dict[str, float]
    pattern: str

    @property
    def weights(self) -> int:
        """Elements."""
        return prod(self.shape)


def analyse(region: Conv | MatMul) -> Zeros:
    """Find the zeros in the weight of a region that has one."""
    used = centered(region) != 0
    return Zeros(
        used.shape,
        int(used.size - np.count_nonzero(used)),
        int(np.count_nonzero(~used.any(axis=(1, 2)))),
        int(np.count_nonzero(~used.any(axis=(0, 2)))),
        {f"{rows}x{columns}": zero_blocks(used, rows, columns) for rows, columns in BLOCKS},
        pattern(used),
    )


def zero_blocks(used: np.ndarray, rows: int, columns: int) -> float:
    """Share of blocks of ``rows`` outputs x ``columns`` inputs in which nothing is used; the last may be smaller.

    used : bool [outputs, inputs, taps].
    """
    blocks = np.logical_or.reduceat(used, range(0, used.shape[0], rows), axis=0)
    blocks = np.logical_or.reduceat(blocks, range(0, used.shape[1], columns), axis=1)
    return 1 - float(np.count_nonzero(blocks)) / blocks.size


def is_sparse(used: np.ndarray) -> bool:
    """Whether kernels may skip zeros of a weight: there are enough of them."""
    return bool(np.count_nonzero(used) <= (1 - SPARSE) * used.size)


def zero_tiles(used: np.ndarray) -> int:
    """Tiles of ``TILE`` outputs of one input in which nothing is used; 0 for a weight that is not sparse.

    used : bool [outputs, inputs, *taps].
    """
    if not is_sparse(used):
        return 0
    tiles = np.logical_or.reduceat(used, range(0, used.shape[0], TILE), axis=0)
    return int(tiles.size - np.count_nonzero(tiles))


def pattern(used: np.ndarray) -> str:
    """The strictest of ``PATTERNS`` that a weight follows, as "2:4"; "" for none."""
    return next((f"{n}:{m}" for n, m in PATTERNS if follows(used, n, m)), "")


def follows(used: np.ndarray, n: int, m: int) -> bool:
    """Whether at most n of every m consecutive inputs are used, for every output and tap; inputs a multiple of m."""
    outputs, inputs, taps = used.shape
    if inputs % m:
        return False
    return bool((used.reshape(outputs, inputs // m, m, taps).sum(axis=2) <= n).all())

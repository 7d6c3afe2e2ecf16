"""Which tile of a contraction takes a GPU the fewest cycles: a model, fitted to no measurement.

A block of threads is as fast as its multiply-adds, its reads of shared memory, or its reads of global memory; or, where
too few of those are under way, as the time that one takes. Blocks wait for each other where a multiprocessor cannot
hold all of its own at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import ceil

from ._common import Decisions
from ._cuda_tile import STEP, Tile, Warps

_STAGES = (2, 3, 4, 8)

# Of a multiprocessor, for a cycle: GA100 (NVIDIA A100 Tensor Core GPU Architecture, whitepaper, 2020; and for dp4a the
# CUDA C++ Programming Guide's table of throughputs). Later ones differ by less than what is estimated here.
MMA, MMA_SP, DP4A = 2048, 4096, 256  # products of 8 bits; of pairs, zeros count
_SHARED_BYTES = 128
_GLOBAL_BYTES = 48  # from L2, each
_RESERVED = 1024  # bytes of shared memory that every block takes beside its own
_THREADS, _REGISTERS = 2048, 65536  # that blocks share
_OTHERS = 64  # registers of a thread for anything but its sums

# Estimates, most in cycles.
_LATENCY = 700  # of a read of global memory
_BEGIN = 1000  # until the first stage is there, and after the last one is stored, where no other block works meanwhile
_BARRIER = 40  # of a stage
_EPILOGUE = 0.08  # for an output: ten instructions for each of 128 lanes
_EXPOSED = 0.2  # of what is done beside what takes longest
_ANOTHER = 2500  # for a kernel that follows


@dataclass(frozen=True)
class Gpu:
    """Where it is computed.

    Attributes
    ----------
    multiprocessors : that it has.
    shared          : bytes of shared memory that a block may have.
    """

    multiprocessors: int
    shared: int


@dataclass(frozen=True)
class Shape:
    """What is computed.

    Attributes
    ----------
    batch   : products of this shape, with weights of their own.
    rows    : places of the output.
    columns : output channels.
    steps   : of 32 elements of the reduction, or 64 of which half are stored (``pairs``).
    grouped : whether blocks of channels read different inputs.
    pairs   : see ``Tile``.
    bytes   : see ``Tile``.
    macs    : products of a multiprocessor in a cycle.
    """

    batch: int
    rows: int
    columns: int
    steps: int
    grouped: bool = False
    pairs: bool = False
    bytes: bool = False
    macs: int = MMA


def cycles(shape: Shape, tile: Tile, gpu: Gpu) -> float:
    """What a tile of a shape takes."""
    warps = Warps.of(tile)
    parts = shape.batch * ceil(shape.rows / tile.rows) * ceil(shape.columns / tile.columns)
    stages = ceil(ceil(shape.steps / tile.steps) / tile.splits)
    step = STEP * tile.spread
    weight = STEP + 8 if tile.pairs else STEP
    needs = (
        tile.rows * tile.columns * step / shape.macs,
        warps.threads // 32 * (warps.rows * step + warps.columns * weight) / _SHARED_BYTES,
        (min(tile.rows, shape.rows) * step + tile.columns * weight) / _GLOBAL_BYTES,
    )
    stage = tile.steps * (max(needs) + _EXPOSED * (sum(needs) - max(needs))) + _BARRIER
    epilogue = tile.rows * tile.columns * _EPILOGUE
    holds = min(
        (gpu.shared + _RESERVED) // (tile.shared + _RESERVED),
        _THREADS // warps.threads,
        _REGISTERS // (warps.threads * (warps.sums + _OTHERS)),
    )
    turns = ceil(parts * tile.splits / (gpu.multiprocessors * holds))
    waits = turns * ceil(stages / (tile.stages - 1)) * _LATENCY
    works = ceil(parts * tile.splits / gpu.multiprocessors) * (stages * stage + epilogue)
    total = turns * _BEGIN + max(waits, works)
    if tile.splits > 1:
        outputs = shape.rows * shape.columns
        total += _ANOTHER + (1 + tile.splits) * 4 * outputs / (_GLOBAL_BYTES * gpu.multiprocessors)
    return total


def best(shape: Shape, gpu: Gpu) -> Tile:
    """The tile that takes the fewest cycles; of equal ones, that of fewest parts, four stages or more, least memory."""
    return min(
        _tiles(shape, gpu), key=lambda tile: (cycles(shape, tile, gpu), tile.splits, -min(tile.stages, 4), tile.shared)
    )


def choose(shape: Shape, decisions: Decisions, gpu: Gpu) -> Tile:
    """The best tile, where nothing else is decided."""
    default, tiles = best(shape, gpu), _tiles(shape, gpu)
    picked = {
        name: decisions.pick(name, getattr(default, name), sorted({getattr(tile, name) for tile in tiles}))
        for name in ("rows", "columns", "steps", "splits")
    }
    stages = decisions.pick("stages", default.stages, _STAGES)
    fits = (tile for tile in tiles if all(getattr(tile, name) == value for name, value in picked.items()))
    return max((tile for tile in fits if tile.stages <= stages), key=lambda tile: tile.stages)


def _tiles(shape: Shape, gpu: Gpu) -> list[Tile]:
    """All that fit into shared memory, and are not far larger than what is computed."""
    widest = 128 if shape.macs == DP4A else 256
    columns = [
        n for n in (32, 64, 128, 256) if n == 32 or (n < 2 * shape.columns and n <= widest and not shape.grouped)
    ]
    rows = [m for m in (32, 64, 128) if m == 32 or m < 2 * shape.rows]
    steps = [n for n in ((1, 2) if shape.pairs else (2, 4)) if n <= shape.steps] or [1]
    splits = (
        [1]
        if shape.bytes or shape.batch > 1
        else [n for n in (1, 2, 4, 8) if n == 1 or shape.steps * (1 + shape.pairs) >= 8 * n]
    )
    tiles = (Tile(*each, shape.pairs, shape.bytes) for each in itertools.product(rows, columns, steps, _STAGES, splits))
    return [tile for tile in tiles if tile.shared <= gpu.shared]

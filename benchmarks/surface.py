"""A measurer that computes times instead of measuring them: for tests, and to simulate long campaigns.

The surface is that of tiled kernels: tiles that do not divide an axis waste work, sums beyond the registers spill,
small tiles load more often, big blocks leave the cache; and every kernel has tastes that nothing explains.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, cast

from tvmopt import target as targets
from tvmopt.tuning.task import Choice, Decisions, Result, Task

CHOICES = (
    Choice("pixels", 4, tuple(range(1, 29))),
    Choice("vectors", 2, tuple(range(1, 9))),
    Choice("visits", 1, (1, 2, 4, 8)),
    Choice("unroll", 1, (1, 2, 4, 8)),
    Choice("ahead", 1, (1, 2, 3, 4)),
)
REGISTERS = 32
FAILING = 0.05
"""Share of the candidates that do not build."""

SHAPES = [(size, size, channels) for size in (7, 14, 28, 56) for channels in (24, 64, 96, 160, 320)]


def task(shape: tuple[int, int, int], weight: int = 1) -> Task:
    """A task without a function: only ``Surface`` can measure it."""
    name = "conv " + "x".join(map(str, shape))
    target = targets.get("x86/generic")
    return Task(name, name, cast(Any, None), target, "surface", "surface", "1", CHOICES, (weight,))


def shape(task: Task) -> tuple[int, int, int]:
    """Rows, columns and channels of the output."""
    rows, columns, channels = map(int, task.workload.split()[-1].split("x"))
    return rows, columns, channels


def facts(task: Task) -> tuple[float, ...]:
    """As ``features.of``, of a task without a function."""
    rows, columns, channels = shape(task)
    return (
        1.0,
        float(rows),
        float(columns),
        float(channels),
        channels / 16,
        16.0,
        math.log2(rows * columns * channels),
    )


class Surface:
    """See the module's text.

    Attributes
    ----------
    noise    : standard deviation of a measured time, as a share of the true one.
    measured : how many candidates were.
    """

    def __init__(self, noise: float = 0.01, seed: int = 0) -> None:
        self.noise, self.measured = noise, 0
        self.best: dict[str, float] = {}
        self._rng = Random(seed)

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        """See ``Measurer``."""
        for index, (task, decisions) in enumerate(batch):
            self.measured += 1
            true = seconds(task, decisions)
            if math.isinf(true):
                yield index, Result("build", (), "this candidate does not build")
            else:
                yield index, Result("ok", tuple(true * (1 + abs(self._rng.gauss(0, self.noise))) for _ in range(3)))

    def close(self) -> None:
        """There is nothing to close."""


def seconds(task: Task, decisions: Decisions) -> float:
    """The true time of a candidate; infinite for one that does not build."""
    value = dict(decisions)
    start = all(value[choice.name] == choice.default for choice in task.space)
    if _taste(task.workload, decisions) < FAILING and not start:
        return math.inf
    rows, columns, channels = shape(task)
    blocks = channels / 16
    pixels, vectors = value["pixels"], value["vectors"]
    sums = pixels * vectors
    wasted = _padded(columns, pixels) * _padded(blocks, vectors)
    loads = 1 + 1.2 * (pixels + vectors) / sums
    spilled = 1 + 0.15 * max(0, sums + vectors + 1 - REGISTERS)
    waiting = 1 + 0.3 * max(0, 10 - sums) / 10
    cache = 1 + 0.1 * abs(math.log2(value["visits"] * vectors / max(1.0, 8 * 14 / columns)))
    code = 1 + 0.03 * max(0, math.log2(value["unroll"] * sums) - 6) + 0.1 / value["unroll"]
    ahead = 1 + 0.04 * abs(value["ahead"] - (2 if channels < 100 else 3))
    own = 1 + 0.04 * _taste(task.workload, decisions[:2])
    return rows * columns * channels * 1e-10 * wasted * loads * spilled * waiting * cache * code * ahead * own


def _padded(extent: float, tile: int) -> float:
    return math.ceil(extent / tile) * tile / extent


def _taste(workload: str, decisions: Decisions) -> float:
    """A number in [0, 1) that looks random, and is the same everywhere."""
    return zlib.crc32(f"{workload} {decisions}".encode()) / 2**32

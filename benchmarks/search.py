"""Trials that a search takes until a candidate is near the best (within 5 %): at random, guided by the cost model, and
guided from what is known of other kernels.

The kernels are simulated ones, whose best is known (``Simulated``), or real ones of which many random candidates were
measured, among which alone a search then chooses (``Recorded``).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Protocol

from tvmopt.tuning import campaign, search, space
from tvmopt.tuning.cost_model import CostModel, Lesson
from tvmopt.tuning.entries import Entry
from tvmopt.tuning.task import Decisions

from . import surface

NEAR = 1.05
LIMIT = 4000
"""Trials after which a search is given up, and counts as that many."""

KNOWN = 128
"""Candidates of each other kernel that a warm start has learned from."""


@dataclass(frozen=True)
class Search:
    """Trials to come near the best, mean over kernels and seeds."""

    tasks: int
    seeds: int
    random: float
    guided: float
    warm: float


class Kernel(Protocol):
    """What is searched."""

    entry: Entry

    def measure(self, decisions: Decisions) -> float:
        """Seconds of a candidate; infinite for one that failed."""

    def near(self, decisions: Decisions) -> bool:
        """Whether a candidate is near the best."""

    def propose(self, tried: Mapping[Decisions, float], model: CostModel | None, rng: Random) -> list[Decisions]:
        """Candidates to try next, at random without a model; none where all were tried."""


class Simulated:
    """A kernel of the simulated machine. Its times are noisy, by ``seed``; what is near the best is not."""

    def __init__(self, shape: tuple[int, int, int], seed: int = 0) -> None:
        self.task = surface.task(shape)
        self.entry = campaign.entry(self.task, surface.facts)
        self._machine = surface.Surface(seed=seed)
        self._goal = NEAR * _best(shape)

    def measure(self, decisions: Decisions) -> float:
        ((_, result),) = self._machine.measure([(self.task, decisions)])
        return statistics.median(result.seconds) if result.seconds else math.inf

    def near(self, decisions: Decisions) -> bool:
        return surface.seconds(self.task, decisions) <= self._goal

    def propose(self, tried: Mapping[Decisions, float], model: CostModel | None, rng: Random) -> list[Decisions]:
        if not tried:
            return [self.entry.start]
        if model is None:
            drawn = dict.fromkeys(space.sample(self.task, rng) for _ in range(campaign.BATCH))
            return [one for one in drawn if one not in tried]
        return search.propose(self.task, self.entry, tried, model, rng, campaign.BATCH)

    def lesson(self, weight: float) -> Lesson:
        """True times of random candidates."""
        rng = Random(self.task.workload)
        candidates = [space.sample(self.task, rng) for _ in range(KNOWN)]
        return Lesson(self.entry, {one: surface.seconds(self.task, one) for one in candidates}, weight)


@cache
def _best(shape: tuple[int, int, int]) -> float:
    """Seconds of the fastest of all candidates of a simulated kernel."""
    task = surface.task(shape)
    names = [choice.name for choice in task.space]
    every = itertools.product(*(choice.options for choice in task.space))
    return min(surface.seconds(task, tuple(zip(names, one, strict=True))) for one in every)


class Recorded:
    """A kernel that has these candidates only: seconds of each, infinite for what failed.

    near : how many times slower than the fastest of them is near enough.
    """

    def __init__(self, entry: Entry, times: Mapping[Decisions, float], near: float = NEAR) -> None:
        self.entry, self.times = entry, times
        self._goal = near * min(times.values())

    def measure(self, decisions: Decisions) -> float:
        return self.times[decisions]

    def near(self, decisions: Decisions) -> bool:
        return self.times[decisions] <= self._goal

    def propose(self, tried: Mapping[Decisions, float], model: CostModel | None, rng: Random) -> list[Decisions]:
        fresh = [one for one in self.times if one not in tried]
        rng.shuffle(fresh)
        return search.choose(fresh, fresh, self.entry, model, rng, campaign.BATCH) if model is not None else fresh


def find(kernel: Kernel, seed: int, lessons: Sequence[Lesson] | None) -> int:
    """Trials until a candidate is near the best.

    lessons : of other kernels, to start with; at random where None.
    """
    rng, model = Random(seed), CostModel(seed)
    times: dict[Decisions, float] = {}
    if lessons:
        model.fit(lessons)
    while len(times) < LIMIT and (batch := kernel.propose(times, None if lessons is None else model, rng)):
        for one in batch:
            times[one] = kernel.measure(one)
            if kernel.near(one):
                return len(times)
        if lessons is not None:
            model.fit([Lesson(kernel.entry, times), *lessons])
    return LIMIT


def compare(
    kernels: Callable[[int], Sequence[Kernel]], others: Callable[[int], Sequence[Lesson]], seeds: int
) -> Search:
    """Search each kernel in the three ways.

    kernels : those of a seed, the same ones but for the noise of their times.
    others  : what a warm start knows when it searches the kernel of that index.
    """
    ways: list[Callable[[int], Sequence[Lesson] | None]] = [lambda at: None, lambda at: [], others]
    means = (
        statistics.mean(find(kernel, seed, how(at)) for seed in range(seeds) for at, kernel in enumerate(kernels(seed)))
        for how in ways
    )
    return Search(len(kernels(0)), seeds, *means)


def simulated(seeds: int) -> Search:
    """Every second shape is searched; the others are what a warm start knows."""
    shapes, others = surface.SHAPES[::2], surface.SHAPES[1::2]
    known = [Simulated(shape).lesson(campaign.ELSEWHERE_WEIGHT / (KNOWN * len(others))) for shape in others]
    return compare(lambda seed: [Simulated(shape, seed) for shape in shapes], lambda at: known, seeds)

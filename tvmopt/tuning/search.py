"""Which candidates of a task to measure next: an evolution of the best ones, ranked by the cost model, and some others.

Sampling and evolution as in Ansor [1]. Of predictions that are in doubt, one throw of the dice each decides (Thompson
sampling [2]): batches differ within themselves, and what is only estimated leads without being trusted.

[1] Zheng et al., OSDI 2020, section 5.  [2] Russo et al., "A Tutorial on Thompson Sampling", 2018, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from . import space
from .cost_model import CostModel
from .entries import Entry
from .task import Decisions, Task

SAMPLES = 256
"""Candidates drawn from the whole space for every batch, and children in every generation."""

GENERATIONS = 3
PARENTS = 32
EXPLORATION = 0.15
"""Share of a batch that is drawn at random."""


def propose(
    task: Task,
    entry: Entry,
    tried: Mapping[Decisions, float],
    model: CostModel,
    rng: Random,
    count: int,
) -> list[Decisions]:
    """Up to ``count`` candidates that are not in ``tried``, the most promising first; none where all were tried.

    tried : seconds by candidate, infinite for one that failed.
    """
    fresh = _new((space.sample(task, rng) for _ in range(SAMPLES)), tried)
    pool, parents = fresh, sorted(tried, key=tried.__getitem__)[:PARENTS] or fresh
    for generation in range(GENERATIONS if model else 0):
        if generation:
            parents = _ranked(pool, entry, model, rng)[:PARENTS] or parents
        pool = _new([*pool, *_children(parents, fresh or parents, rng)], tried)
    return choose(pool, fresh, entry, model, rng, count)


def choose(
    pool: Sequence[Decisions],
    drawn: Sequence[Decisions],
    entry: Entry,
    model: CostModel,
    rng: Random,
    count: int,
) -> list[Decisions]:
    """Up to ``count`` candidates of a pool, the most promising first, and some that were ``drawn`` at random."""
    explored = drawn[: round(count * EXPLORATION)]
    promising = [one for one in _ranked(pool, entry, model, rng) if one not in explored]
    return [*promising[: count - len(explored)], *explored]


def _new(candidates: Iterable[Decisions], tried: Mapping[Decisions, float]) -> list[Decisions]:
    """Each once, without those that were tried."""
    return [one for one in dict.fromkeys(candidates) if one not in tried]


def _children(parents: Sequence[Decisions], donors: Sequence[Decisions], rng: Random) -> list[Decisions]:
    """Parents in which one decision or two were taken from a donor."""
    pairs = ((rng.choice(parents), rng.choice(donors)) for _ in range(SAMPLES))
    return [_crossed(parent, donor, rng) for parent, donor in pairs]


def _crossed(parent: Decisions, donor: Decisions, rng: Random) -> Decisions:
    taken = {rng.randrange(len(parent)), rng.randrange(len(parent))}
    return tuple(donor[place] if place in taken else own for place, own in enumerate(parent))


def _ranked(candidates: Sequence[Decisions], entry: Entry, model: CostModel, rng: Random) -> list[Decisions]:
    """By scores that are drawn from what the model predicts and how much it doubts."""
    if not candidates:
        return []
    scores = map(rng.gauss, *model.predict(entry, candidates))
    return [one for _, one in sorted(zip(scores, candidates, strict=True), key=lambda pair: pair[0], reverse=True)]

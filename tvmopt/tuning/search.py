"""Which candidates of a task to measure next: an evolution of the best ones, ranked by the cost model, and some others.

Sampling and evolution as in Ansor [1], with the optimistic choice among predictions of Gaussian process bandits [2].

[1] Zheng et al., OSDI 2020, section 5.  [2] Srinivas et al., ICML 2010 (GP-UCB).
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
OPTIMISM = 1.5
"""How many standard deviations of the model's doubt count in favour of a candidate."""

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
    if not model:
        return fresh[:count]
    explored = fresh[: round(count * EXPLORATION)]
    pool, parents = fresh, sorted(tried, key=tried.__getitem__)[:PARENTS] or fresh
    for _ in range(GENERATIONS):
        pool = _ranked(_new([*pool, *_children(parents, fresh or parents, rng)], tried), entry, model)
        parents = pool[:PARENTS] or parents
    return [*[one for one in pool if one not in explored][: count - len(explored)], *explored]


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


def _ranked(candidates: list[Decisions], entry: Entry, model: CostModel) -> list[Decisions]:
    if not candidates:
        return []
    mean, doubt = model.predict(entry, candidates)
    order = (-(mean + OPTIMISM * doubt)).argsort(kind="stable")
    return [candidates[index] for index in order]

"""The search on real kernels: random candidates of some of them are measured, once and for all, and then searched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

import tvmopt
from tvmopt import target as targets
from tvmopt.passes import pipeline
from tvmopt.tuning import campaign, space
from tvmopt.tuning.cost_model import Lesson
from tvmopt.tuning.entries import Trial
from tvmopt.tuning.extract import extract
from tvmopt.tuning.records import Records
from tvmopt.tuning.task import Decisions, Measurer, Task

from . import models, search
from .search import NEAR, Recorded, Search

EACH = 3
"""Kernels of every model, at most: those with the most candidates."""


def kernels(names: Sequence[str], count: int) -> list[Task]:
    """Kernels of models to search, each once: of those that have more than so many candidates."""
    tasks = extract([pipeline.run(tvmopt.load(models.get(name))) for name in names], targets.get("host"))
    tasks = sorted((task for task in tasks if space.size(task) > count), key=space.size, reverse=True)
    found = [[task for task in tasks if task.calls[at]][:EACH] for at in range(len(names))]
    return list({task.workload: task for some in found for task in some}.values())


def drawn(task: Task, count: int) -> list[Decisions]:
    """So many random candidates, always the same ones; without the default schedule, which is often near the best."""
    rng, found = Random(task.workload), dict.fromkeys([space.default(task)])
    while len(found) <= count:
        found[space.sample(task, rng)] = None
    return list(found)[1:]


def recorded(task: Task, count: int, records: Records, measurer: Measurer, near: float = NEAR) -> Recorded:
    """A kernel with as many candidates, of which those are measured that are not in the records."""
    entry, candidates = campaign.entry(task), drawn(task, count)
    known = {trial.decisions for trial in records.trials(entry.key)}
    missing = [one for one in candidates if one not in known]
    for at in range(0, len(missing), campaign.BATCH):
        batch = missing[at : at + campaign.BATCH]
        for index, result in measurer.measure([(task, one) for one in batch]):
            records.add(entry, Trial.of(batch[index], result, time.time()))
    times = {trial.decisions: trial.seen for trial in records.trials(entry.key)}
    return Recorded(entry, {one: times[one] for one in candidates}, near)


def searches(
    tasks: Sequence[Task], count: int, records: Records, measurer: Measurer, seeds: int, near: float = NEAR
) -> Search:
    """Search all kernels. A warm start knows those that are in none of a kernel's models."""
    found = [recorded(task, count, records, measurer, near) for task in tasks]

    def others(at: int) -> list[Lesson]:
        own = {model for model, calls in enumerate(tasks[at].calls) if calls}
        known = [
            kernel for task, kernel in zip(tasks, found, strict=True) if not any(task.calls[model] for model in own)
        ]
        weight = campaign.ELSEWHERE_WEIGHT / (search.KNOWN * max(len(known), 1))
        return [Lesson(one.entry, dict(list(one.times.items())[: search.KNOWN]), weight) for one in known]

    return search.compare(lambda seed: found, others, seeds)

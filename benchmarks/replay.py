"""The search on real kernels: random candidates of some of them are measured, once and for all, and then searched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from tvmopt.tuning import campaign, space
from tvmopt.tuning.cost_model import Lesson
from tvmopt.tuning.entries import Trial
from tvmopt.tuning.records import Records
from tvmopt.tuning.task import Decisions, Measurer, Task

from . import search
from .search import NEAR, Recorded, Search

EACH = 3
"""Kernels of every model, at most: those with the most candidates."""


def kernels(tasks: Sequence[Task], count: int) -> list[Task]:
    """Those to search, of kernels of several models: of those that have more than so many candidates."""
    large = sorted((task for task in tasks if space.size(task) > count), key=space.size, reverse=True)
    found = [[task for task in large if task.calls[at]][:EACH] for at in range(len(tasks[0].calls))]
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
    tasks: Sequence[Task],
    count: int,
    records: Records,
    measurer: Measurer,
    seeds: int,
    near: float,
    known: Records,
) -> Search:
    """Search some kernels of several models.

    tasks : all kernels of these models.
    known : what a warm start learns from, but for kernels of the models that have the one it searches.
    """
    chosen = kernels(tasks, count)
    found = [recorded(task, count, records, measurer, near) for task in chosen]
    entries = [entry for entry in known.entries() if entry.rule == found[0].entry.rule]

    def others(at: int) -> list[Lesson]:
        models = [model for model, calls in enumerate(chosen[at].calls) if calls]
        own = {task.workload for task in tasks if any(task.calls[model] for model in models)}
        return campaign.elsewhere(known, [one for one in entries if one.workload not in own], Random(at))

    return search.compare(lambda seed: found, others, seeds)

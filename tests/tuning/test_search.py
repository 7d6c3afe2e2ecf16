"""Proposals: new, of the space, and better than chance."""

from __future__ import annotations

import dataclasses
from itertools import product
from random import Random

import pytest

from benchmarks import surface
from tvmopt.tuning import search, space
from tvmopt.tuning.campaign import entry
from tvmopt.tuning.cost_model import CostModel, Lesson
from tvmopt.tuning.task import Choice, Decisions, Task


def everything(task: Task) -> set[Decisions]:
    names = [choice.name for choice in task.space]
    return {tuple(zip(names, values, strict=True)) for values in product(*(choice.options for choice in task.space))}


SMALL = dataclasses.replace(
    surface.task((14, 14, 64)), space=(*surface.CHOICES[2:], Choice("pixels", 4, (4,)), Choice("vectors", 2, (2, 4)))
)


@pytest.mark.parametrize("guided", [False, True])
def test_all_of_a_small_space_once(guided: bool) -> None:
    rng, model, about = Random(0), CostModel(), entry(SMALL, surface.facts)
    tried = {space.default(SMALL): 1.0}
    if guided:
        model.fit([Lesson(about, tried)])
    while batch := search.propose(SMALL, about, tried, model, rng, 10):
        assert len(batch) <= 10
        assert not tried.keys() & set(batch)
        tried.update({decisions: surface.seconds(SMALL, decisions) for decisions in batch})
    assert tried.keys() == everything(SMALL)


def test_the_model_is_asked_and_some_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    task = surface.task((14, 14, 64))
    about, rng, model = entry(task, surface.facts), Random(0), CostModel()
    names = [choice.name for choice in task.space]
    times = {one: surface.seconds(task, one) for one in (space.sample(task, rng) for _ in range(256))}
    model.fit([Lesson(about, times)])
    batch = search.propose(task, about, times, model, rng, 20)
    median = sorted(times.values())[128]
    better = sum(surface.seconds(task, one) < median for one in batch)
    assert better >= 15
    assert all(tuple(name for name, _ in one) == tuple(names) for one in batch)
    monkeypatch.setattr(search, "EXPLORATION", 1.0)
    explored = search.propose(task, about, times, model, rng, 200)
    assert 50 < sum(surface.seconds(task, one) < median for one in explored) < 150


def test_first_candidates_are_better_than_chance_and_unlike() -> None:
    task = surface.task((14, 14, 64))
    about, rng = entry(task, surface.facts), Random(0)
    first = [one for _ in range(8) for one in search.propose(task, about, {}, CostModel(), rng, 8)]
    median = sorted(surface.seconds(task, space.sample(task, rng)) for _ in range(500))[250]
    assert sum(surface.seconds(task, one) < median for one in first) > 0.7 * len(first)
    assert len({one[:2] for one in first}) > 20  # tiles

"""Searches on kernels whose best is known."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks import search, surface
from benchmarks.search import Recorded, Simulated
from tvmopt.tuning import space
from tvmopt.tuning.cost_model import CostModel
from tvmopt.tuning.task import Decisions

SHAPE = (7, 7, 160)


def times(count: int) -> dict[Decisions, float]:
    task, rng = surface.task(SHAPE), Random(0)
    return {one: surface.seconds(task, one) for one in (space.sample(task, rng) for _ in range(count))}


def test_guided_needs_less_than_half_and_warm_less_than_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LIMIT", 400)  # random search needs more
    known = [Simulated((7, 7, channels)).lesson(1.0) for channels in (96, 320)]
    found = search.compare(lambda seed: [Simulated(SHAPE, seed)], lambda at: known, seeds=2)
    assert (found.tasks, found.seeds) == (1, 2)
    assert 3 < found.guided < found.random / 2
    assert found.warm < found.random / 3
    assert found.warm < found.guided


def test_recorded_candidates_are_searched_once_each() -> None:
    kernel, rng, tried = Recorded(Simulated(SHAPE).entry, times(100)), Random(0), {}
    for model in (None, CostModel(), learned := CostModel()):
        tried = {}
        while batch := kernel.propose(tried, model, rng):
            assert not tried.keys() & set(batch)
            tried |= {one: kernel.measure(one) for one in batch}
        assert tried == kernel.times
        learned.fit([search.Lesson(kernel.entry, tried)])
    best = min(tried, key=tried.__getitem__)
    assert kernel.near(best)
    assert not kernel.near(max(tried, key=tried.__getitem__))
    assert best in kernel.propose({}, learned, rng)


def test_what_all_searches_of_recorded_candidates_find() -> None:
    kernel = Recorded(Simulated(SHAPE).entry, times(200))
    near = sum(map(kernel.near, kernel.times))
    found = search.compare(lambda seed: [kernel], lambda at: [search.Lesson(kernel.entry, kernel.times)], seeds=6)
    assert found.random == pytest.approx(201 / (near + 1), rel=0.7)  # drawn without putting back
    assert found.warm < found.guided < found.random

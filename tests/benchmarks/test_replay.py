"""Random candidates of real kernels: measured once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import replay, search, surface
from tvmopt.tuning import campaign, space
from tvmopt.tuning.records import Records

TASKS = [surface.task((size, size, 64)) for size in (7, 14)]


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = campaign.entry
    monkeypatch.setattr(campaign, "entry", lambda task: entry(task, surface.facts))  # they have no function


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with Records(tmp_path / "r.db") as records:
        yield records


def test_drawn_are_always_the_same_and_not_the_default() -> None:
    found = replay.drawn(TASKS[0], 50)
    assert len(set(found)) == 50
    assert found == replay.drawn(TASKS[0], 60)[:50]
    assert found != replay.drawn(TASKS[1], 50)
    assert space.default(TASKS[0]) not in found


def test_measured_once(records: Records) -> None:
    machine = surface.Surface()
    first = replay.recorded(TASKS[0], 40, records, machine)
    assert machine.measured == 40
    again = replay.recorded(TASKS[0], 50, records, machine)
    assert machine.measured == 50
    assert len(again.times) == 50
    assert again.times.items() > first.times.items()
    failed = {one for one in again.times if math.isinf(surface.seconds(TASKS[0], one))}
    assert {one for one, seconds in again.times.items() if math.isinf(seconds)} == failed != set()


def test_a_warm_start_knows_kernels_of_other_models(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(7, 7, 64), (14, 14, 64), (28, 28, 64)]
    calls = [(1, 0), (1, 1), (0, 1)]
    tasks = [surface.task(shape) for shape in shapes]
    tasks = [dataclasses.replace(task, calls=one) for task, one in zip(tasks, calls, strict=True)]
    known: list[list[str]] = []

    def compare(kernels: Any, others: Any, seeds: int) -> None:
        known.extend([lesson.entry.workload for lesson in others(at)] for at in range(len(kernels(0))))

    monkeypatch.setattr(search, "compare", compare)
    replay.searches(tasks, 20, records, surface.Surface(), 1, 1.05, records)
    assert known == [[tasks[2].workload], [], [tasks[0].workload]]


def test_kernels_of_every_model_that_have_enough_candidates() -> None:
    spaces = [surface.CHOICES[at:] for at in (0, 1, 1, 1, 1, 2)]  # 14336, 512 and 64 candidates
    calls = [(1, 1), (1, 0), (1, 0), (1, 0), (0, 1), (1, 1)]
    tasks = [
        dataclasses.replace(surface.task((7, 7, 16 * at)), space=spaces[at], calls=calls[at])
        for at in range(len(calls))
    ]
    assert replay.kernels(tasks, 256) == [tasks[at] for at in (0, 1, 2, 4)]
    assert replay.kernels(tasks, 512) == [tasks[0]]

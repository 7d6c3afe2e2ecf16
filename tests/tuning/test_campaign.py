"""Campaigns on a surface that stands for a machine: nothing lost, nothing worse, and what was learned is kept."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks import surface
from tvmopt.errors import TuningError
from tvmopt.tuning import campaign as campaigns
from tvmopt.tuning import space
from tvmopt.tuning.budget import Budget
from tvmopt.tuning.campaign import Campaign
from tvmopt.tuning.entries import Trial
from tvmopt.tuning.records import Records
from tvmopt.tuning.state import shares
from tvmopt.tuning.task import Choice, Decisions, Result, Task

TASKS = [surface.task(shape, weight) for weight, shape in enumerate(surface.SHAPES[:3], 1)]


def tune(path: Path, budget: str, measurer: Any = None, tasks: Sequence[Task] = TASKS, **options: Any) -> Campaign:
    with Records(path) as records:
        found = Campaign(
            tasks, records, measurer or surface.Surface(), Budget.parse(budget), facts=surface.facts, **options
        )
        found.run()
    return found


def recorded(path: Path) -> dict[str, list[Trial]]:
    with Records(path, write=False) as records:
        return {entry.workload: records.trials(entry.key) for entry in records.entries()}


class Scripted(surface.Surface):
    """Gives some candidates a result of their own, or raises it, whenever they are measured."""

    def __init__(self, results: dict[Decisions, Any]) -> None:
        super().__init__(noise=0)
        self.results = results

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        for index, result in super().measure(batch):
            scripted = self.results.get(batch[index][1])
            if isinstance(scripted, BaseException):
                raise scripted
            yield index, scripted.pop(0) if scripted else result


def test_default_first_and_never_worse(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    found = tune(path, "150trials")
    assert (found.trials, found.over, found.interrupted) == (150, True, False)
    for state in found.states:
        trials = recorded(path)[state.task.workload]
        assert trials[0].decisions == space.default(state.task)
        assert len(trials) == len(state.times)
        true = surface.seconds(state.task, state.best)
        assert true < surface.seconds(state.task, space.default(state.task))
        assert state.measured[state.best] >= campaigns.SURE
    assert found.total < 0.7 * found.baseline
    assert found.failed == sum(state.failures.total() for state in found.states)


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    first = tune(path, "100trials")
    before = recorded(path)
    assert first.model_path.is_file()
    measurer = surface.Surface()
    second = tune(path, "50trials", measurer)
    assert second.past[0].total == pytest.approx(first.total)  # nothing forgotten, nothing measured again first
    assert sum(map(len, recorded(path).values())) == 150
    assert second.trials == 50
    for workload, trials in before.items():
        after = {trial.decisions: trial for trial in recorded(path)[workload]}
        assert all(after[trial.decisions].seconds[: len(trial.seconds)] == trial.seconds for trial in trials)


def test_resumes_with_its_cost_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune(tmp_path / "r.db", "60trials")
    did = []
    for name in ("fit", "predict"):
        method = getattr(campaigns.CostModel, name)
        monkeypatch.setattr(campaigns.CostModel, name, lambda *args, m=method: did.append(m.__name__) or m(*args))
    tune(tmp_path / "r.db", "10trials")
    assert did[0] == "predict"


def test_spends_where_it_earns(tmp_path: Path) -> None:
    light, heavy = dataclasses.replace(TASKS[0], calls=(1,)), dataclasses.replace(TASKS[1], calls=(20,))
    found = tune(tmp_path / "r.db", "200trials", tasks=[light, heavy])
    assert len(found.states[1].times) > 2 * len(found.states[0].times) > 0


def test_every_model_counts_the_same(tmp_path: Path) -> None:
    """However long it takes: of two models, one is a thousand times larger."""
    small, large = dataclasses.replace(TASKS[0], calls=(1, 0)), dataclasses.replace(TASKS[1], calls=(0, 1000))
    found = tune(tmp_path / "r.db", "200trials", tasks=[small, large])
    assert shares(found.states) == pytest.approx([0.5, 0.5])
    assert found.gain == pytest.approx(math.sqrt(math.prod(state.gain for state in found.states)))
    counts = [len(state.times) for state in found.states]
    assert max(counts) < 3 * min(counts)


def test_ends_when_nothing_is_left(tmp_path: Path) -> None:
    small = dataclasses.replace(
        TASKS[0], space=(*surface.CHOICES[2:], Choice("pixels", 4, (4,)), Choice("vectors", 2, (2,)))
    )
    found = tune(tmp_path / "r.db", "1h", tasks=[small])
    assert found.trials == len(found.states[0].times) == 4 * 4 * 4


def test_wrong_never_becomes_best(tmp_path: Path) -> None:
    class Liar(surface.Surface):
        """Whatever unrolls is very fast, and wrong."""

        def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
            for index, result in super().measure(batch):
                wrong = dict(batch[index][1])["unroll"] > 1
                yield index, Result("wrong", (1e-9,), "3 of 100 outputs differ") if wrong else result

    found = tune(tmp_path / "r.db", "120trials", Liar())
    assert sum(state.failures["wrong"] for state in found.states) > 5
    assert all(dict(state.best)["unroll"] == 1 for state in found.states)
    with Records(tmp_path / "r.db") as records:
        assert all(records.best(state.entry.key).decisions == state.best for state in found.states)


def test_luck_does_not_last(tmp_path: Path) -> None:
    lucky = (*space.default(TASKS[0])[:-1], ("ahead", 4))
    true = surface.seconds(TASKS[0], lucky)
    options = [Choice(name, value, (value,)) for name, value in lucky[:-1]]
    task = dataclasses.replace(TASKS[0], space=(*options, surface.CHOICES[-1]))
    results = [Result("ok", (1e-9,) * 3), *[Result("ok", (true,) * 9)] * 3]
    found = tune(tmp_path / "r.db", "10trials", Scripted({lucky: results}), tasks=[task])
    (state,) = found.states
    assert state.times[lucky] == true
    assert state.best != lucky


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TuningError("all workers are dead")])
def test_ended_in_the_middle(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "r.db"
    last = (*space.default(TASKS[1])[:-1], ("ahead", 3))
    watched = []
    pages = {"watch": [lambda campaign: watched.append((campaign.over, campaign.trials))]}
    task = dataclasses.replace(TASKS[1], space=(*(Choice(n, v, (v,)) for n, v in last[:-1]), surface.CHOICES[-1]))
    measurer = Scripted({last: error})
    if isinstance(error, KeyboardInterrupt):
        assert tune(path, "1h", measurer, tasks=[task], **pages).interrupted
    else:
        with pytest.raises(TuningError, match="all workers are dead"):
            tune(path, "1h", measurer, tasks=[task], **pages)
    ended, trials = watched[-1]
    assert ended
    assert len(recorded(path)[task.workload]) == trials


def test_default_that_fails_is_left_alone(tmp_path: Path) -> None:
    failing = Scripted({space.default(TASKS[0]): [Result("crash", (), "signal 11")] * 9})
    found = tune(tmp_path / "r.db", "30trials", failing, tasks=[TASKS[0]])
    assert (found.trials, found.failed, found.total, found.gain) == (1, 1, 0, 1)


def test_default_that_did_not_fit_its_time_is_tried_again(tmp_path: Path) -> None:
    """When the campaign goes on: the machine may have been busy."""
    busy = Scripted({space.default(TASKS[0]): [Result("timeout", (), "more than 30 s")]})
    assert math.isinf(tune(tmp_path / "r.db", "30trials", busy, tasks=[TASKS[0]]).states[0].baseline)
    assert math.isfinite(tune(tmp_path / "r.db", "30trials", tasks=[TASKS[0]]).states[0].baseline)


def test_warm_start(tmp_path: Path) -> None:
    """The first batch of a task never seen is guided by what others taught."""
    path = tmp_path / "r.db"
    tune(path, "250trials", tasks=[surface.task(shape) for shape in surface.SHAPES[1:6]])
    unseen = surface.task(surface.SHAPES[0])
    warm = tune(path, "17trials", tasks=[unseen])
    cold = tune(tmp_path / "cold.db", "17trials", tasks=[unseen])
    optimum = min(
        surface.seconds(unseen, tuple(zip([choice.name for choice in unseen.space], values, strict=True)))
        for values in itertools.product(*(choice.options for choice in unseen.space))
    )
    assert warm.total < 1.1 * optimum < cold.total


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A short form of ``benchmarks.tuning``'s 50 000 trials."""
    path = tmp_path / "r.db"
    tune(path, "200trials", tasks=[surface.task(shape) for shape in surface.SHAPES])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tune(path, "800trials", tasks=[surface.task(shape) for shape in surface.SHAPES])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * 1024


def _killed(path: Path, after: float) -> list[Decisions]:
    """Candidates whose trials a campaign had recorded when it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:

        class Telling(Records):
            def add(self, entry: Any, *trials: Trial) -> list[Trial]:
                done = super().add(entry, *trials)
                os.write(write, b"".join(f"{entry.workload} {trial.decisions}\n".encode() for trial in trials))
                return done

        with Telling(path) as records:
            Campaign(TASKS, records, surface.Surface(), Budget.parse("1h"), facts=surface.facts).run()
        os._exit(0)
    os.close(write)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read().splitlines()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    path, rng = tmp_path / "r.db", Random(0)
    Records(path).close()
    told: set[str] = set()
    best = dict.fromkeys((task.workload for task in TASKS), math.inf)
    for _ in range(20):
        told |= set(_killed(path, rng.uniform(0.02, 0.8)))
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        trials = recorded(path)
        known = {f"{workload} {trial.decisions}" for workload, found in trials.items() for trial in found}
        assert told <= known
        for workload, found in trials.items():
            fastest = min(surface.seconds(*_named(workload, trial)) for trial in found)
            assert fastest <= best[workload]
            best[workload] = fastest
    assert len(told) > 10
    assert tune(path, "20trials").past[0].total > 0


def _named(workload: str, trial: Trial) -> tuple[Task, Decisions]:
    return next(task for task in TASKS if task.workload == workload), trial.decisions

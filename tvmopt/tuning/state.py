"""What a campaign knows of its tasks."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean

import numpy as np

from .cost_model import rank_correlation, scores
from .entries import Entry, Trial
from .task import Decisions, Task

HOPE = 0.1
"""Share of its time that a task is hoped to gain when its trials double, until they show otherwise."""

JUDGED = 64
"""Latest predictions that the rank correlation is of."""


@dataclass(eq=False)
class State:
    """Trials of a task, and what follows from them.

    Attributes
    ----------
    times     : seconds by candidate; infinite for one that failed.
    failures  : how many failed, by status.
    curve     : (trials, best seconds), a point for every gain.
    judged    : latest (predicted, measured) scores, and
    accuracy  : (trials, their rank correlation) as the cost model learns.
    measured  : how often each candidate was.
    exhausted : there is nothing left to try.
    """

    task: Task
    entry: Entry
    times: dict[Decisions, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    curve: list[tuple[int, float]] = field(default_factory=list)
    judged: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=JUDGED))
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    measured: Counter[Decisions] = field(default_factory=Counter)
    exhausted: bool = False

    @property
    def baseline(self) -> float:
        """Seconds with the default schedule."""
        return self.times.get(self.entry.start, math.inf)

    @property
    def best(self) -> Decisions:
        """The fastest candidate; the default one where there is none."""
        return min(self.times, key=self.times.__getitem__, default=self.entry.start)

    @property
    def fastest(self) -> float:
        """Seconds of one call with its fastest candidate; 0 while nothing of it runs."""
        fastest = min(self.times.values(), default=math.inf)
        return fastest if math.isfinite(fastest) else 0.0

    @property
    def seconds(self) -> float:
        """Of all calls of the models."""
        return self.task.weight * self.fastest

    @property
    def gain(self) -> float:
        """How many times faster than the default schedule."""
        return self.baseline / self.times[self.best] if math.isfinite(self.baseline) else 1.0

    def note(self, trial: Trial) -> None:
        """Take in a trial, new or measured again."""
        self.measured[trial.decisions] += 1
        if math.isinf(trial.seen) and math.isfinite(self.times.get(trial.decisions, 0.0)):
            self.failures[trial.status] += 1
        self.times[trial.decisions] = trial.seen
        fastest = self.times[self.best]
        if math.isfinite(fastest) and (not self.curve or fastest != self.curve[-1][1]):
            self.curve.append((len(self.times), fastest))

    def earning(self) -> float:
        """Share of its time that the next trial is expected to gain: as those of the last half did, or as is hoped."""
        trials = len(self.times)
        before = next((best for at, best in reversed(self.curve) if at <= trials / 2), self.baseline)
        gained = max(0.0, 1 - self.times[self.best] / before) if math.isfinite(before) else 0.0
        return max(gained, HOPE) / trials

    def judge(self, batch: Sequence[Decisions], predicted: np.ndarray) -> None:
        """Note how well the cost model ranked what was measured since."""
        measured = [(float(guess), self.times[one]) for guess, one in zip(predicted, batch, strict=True)]
        self.judged.extend(measured)
        guesses, times = np.array(self.judged).T
        found = rank_correlation(guesses, scores(times))
        if not math.isnan(found):
            self.accuracy.append((len(self.times), found))


def shares(states: Sequence[State]) -> list[float]:
    """What part of the time each task takes with its best, on average over models: every model counts the same."""
    totals = _by_model(states, lambda state: state.fastest)
    return [
        sum(state.fastest * n / (total or 1.0) for n, total in zip(state.task.calls, totals, strict=True)) / len(totals)
        for state in states
    ]


def mean_gain(states: Sequence[State]) -> float:
    """How many times faster models became, the tasks of each together: the geometric mean over models."""
    before = _by_model(states, lambda state: state.baseline if math.isfinite(state.baseline) else 0.0)
    now = _by_model(states, lambda state: state.fastest if math.isfinite(state.baseline) else 0.0)
    return geometric_mean([was / best for was, best in zip(before, now, strict=True) if was] or [1.0])


def _by_model(states: Sequence[State], seconds: Callable[[State], float]) -> list[float]:
    """Seconds of every model, of which ``seconds`` tells those of one call of a task."""
    times = ([count * seconds(state) for count in state.task.calls] for state in states)
    return [sum(model) for model in zip(*times, strict=True)]

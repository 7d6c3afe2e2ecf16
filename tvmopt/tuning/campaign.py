"""A campaign: measure the default schedule of every task, then ever better candidates, until the budget is spent.

All that a campaign knows is in the records and in the cost model's file beside them, written as results come in: one
that was stopped or killed goes on where it was.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from random import Random
from statistics import median

from ..errors import TuningError
from ..logs import handled
from . import features, space
from .budget import Budget, Progress
from .cost_model import CostModel, Lesson
from .entries import Entry, Key, Trial
from .records import Records
from .search import propose
from .state import State, mean_gain, shares
from .task import Decisions, Measurer, Result, Task

log = logging.getLogger(__name__)

BATCH = 8
"""Candidates of one task that are measured before the cost model is asked again."""

TWICE, SURE = 2, 5
"""How often a candidate is measured that is the best: during the campaign, and at its end."""

ELSEWHERE = 4096
"""Trials of other tasks to learn from, at most, which together count as this many of our own:"""
ELSEWHERE_WEIGHT = 512


@dataclass(frozen=True)
class Outcome:
    """Of a campaign.

    Attributes
    ----------
    trials, failed : since it started.
    best_us        : what the tuned kernels of all models together take with the best that is known, and
    baseline_us    : with their default schedules.
    seconds        : how long it went on.
    gain           : how many times faster models became, the geometric mean over them.
    interrupted    : it was ended by Ctrl-C.
    """

    trials: int
    failed: int
    best_us: float
    baseline_us: float
    seconds: float
    gain: float
    interrupted: bool


class Campaign:
    """See the module's text.

    Attributes
    ----------
    states      : the tasks and what is known of them.
    past        : where it was after every batch.
    trials      : candidates measured since it started, of which so many
    failed      : did.
    over        : it has ended,
    interrupted : by Ctrl-C.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        records: Records,
        measurer: Measurer,
        budget: Budget,
        *,
        watch: Sequence[Callable[[Campaign], None]] = (),
        facts: Callable[[Task], tuple[float, ...]] = features.of,
        seed: int = 0,
    ) -> None:
        """Parameters
        ----------
        watch : called after every batch.
        facts : what the cost model is told of a task.
        """
        self.budget, self.records, self._measurer = budget, records, measurer
        self.states = [State(task, entry(task, facts)) for task in tasks]
        self.past: list[Progress] = []
        self.trials = self.failed = 0
        self.over = self.interrupted = False
        self._watch, self._rng, self._model = watch, Random(seed), CostModel(seed)
        self._elsewhere: list[Lesson] = []
        self._learned = 0

    @property
    def baseline(self) -> float:
        """Seconds that all tasks take with their default schedules."""
        return sum(state.task.weight * state.baseline for state in self.states if math.isfinite(state.baseline))

    @property
    def total(self) -> float:
        """Seconds that all tasks take with the best that is known."""
        return sum(state.seconds for state in self.states)

    @property
    def gain(self) -> float:
        """How many times faster models became, see ``mean_gain``."""
        return mean_gain(self.states)

    @property
    def model_path(self) -> Path:
        """Where the cost model is kept."""
        return self.records.path.with_name(self.records.path.name + ".model.npz")

    def run(self) -> Outcome:
        """Go on until the budget is spent, nothing is left to try, or Ctrl-C.

        Raises TuningError where it cannot go on. What was measured is recorded in any case.
        """
        begin = time.monotonic()
        try:
            self._recall()
            self._spent(begin)
            # Those that failed the last time, too: it may have been the machine.
            first = [(state, state.entry.start) for state in self.states if math.isinf(state.baseline)]
            for at in range(0, len(first), BATCH):
                self._measure(first[at : at + BATCH])
                self._spent(begin)
            while self._spent(begin) < 1 and (state := self._most_earning()) is not None:
                self._step(state)
            self._confirm(self.states, SURE)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self.over = True
            self._spent(begin)
        if self._model:
            self._model.save(self.model_path)
        seconds, best, baseline = self.past[-1].seconds, self.total * 1e6, self.baseline * 1e6
        return Outcome(self.trials, self.failed, best, baseline, seconds, self.gain, self.interrupted)

    def _spent(self, begin: float) -> float:
        """The share of the budget that is spent; tells those who watch."""
        self.past.append(Progress(time.monotonic() - begin, self.trials, self.total, self.gain))
        for watcher in self._watch:
            watcher(self)
        return self.budget.spent(self.past)

    def _recall(self) -> None:
        """Take in what is recorded: trials of these tasks, those of others to learn from, and the cost model."""
        own = {state.entry.key: state for state in self.states}
        others = [other for other in self.records.entries() if other.key not in own]
        for state in self.states:
            for trial in self.records.trials(state.entry.key):
                state.note(trial)
            self._measurer.best[state.task.workload] = state.times.get(state.best, math.inf)
        names = {name for state in self.states for name, _ in state.entry.start}
        alike = [other for other in others if names.issuperset(name for name, _ in other.start)]
        self._elsewhere = elsewhere(self.records, alike, self._rng)
        try:
            self._model.load(self.model_path)
        except TuningError as error:
            log.info("%s", error)
            self._learn()

    def _most_earning(self) -> State | None:
        left = [
            (share * state.earning(), at)
            for at, (state, share) in enumerate(zip(self.states, shares(self.states), strict=True))
            if not state.exhausted and math.isfinite(state.baseline)
        ]
        return self.states[max(left)[1]] if left else None

    def _step(self, state: State) -> None:
        """Measure a batch of candidates of a task, and learn from it."""
        count = int(min(BATCH, self.budget.trials - self.trials))
        batch = propose(state.task, state.entry, state.times, self._model, self._rng, count)
        if not batch:
            state.exhausted = True
            return
        predicted = self._model.predict(state.entry, batch)[0] if self._model else None
        self._measure([(state, decisions) for decisions in batch])
        self._confirm([state], TWICE)
        if predicted is not None:
            state.judge(batch, predicted)
        known = sum(len(state.times) for state in self.states)
        if known - self._learned >= max(BATCH, known // 20):
            self._learn()

    def _measure(self, batch: Sequence[tuple[State, Decisions]]) -> None:
        """Measure and record, each as it finishes."""
        for index, result in self._measurer.measure([(state.task, decisions) for state, decisions in batch]):
            state, decisions = batch[index]
            new = decisions not in state.times
            self._record(state, decisions, result)
            self.trials += new
            self.failed += new and result.status not in ("ok", "slow")

    def _record(self, state: State, decisions: Decisions, result: Result) -> None:
        (trial,) = self.records.add(state.entry, Trial.of(decisions, result, time.time()))
        state.note(trial)
        self._measurer.best[state.task.workload] = state.times[state.best]
        shown = f"{median(result.seconds) * 1e6:.2f} us" if result.seconds else result.message
        choices = " ".join(f"{name}={value}" for name, value in decisions)
        log.info("%s: %s: %s %s", state.task.name, choices, result.status, shown)

    def _confirm(self, states: Sequence[State], times: int) -> None:
        """Measure the best once more, in turn with the default: luck does not last. Again until what then is the best
        was measured so often, but not more often than that."""
        for _ in range(times):
            doubtful = [one for one in states if one.best != one.entry.start and one.measured[one.best] < times]
            if not doubtful:
                return
            self._measure([(state, decisions) for state in doubtful for decisions in (state.entry.start, state.best)])

    def _learn(self) -> None:
        lessons = [Lesson(state.entry, state.times) for state in self.states if state.times]
        self._model.fit([*lessons, *self._elsewhere])
        self._learned = sum(len(lesson.times) for lesson in lessons)


@contextmanager
def logged(path: str | PathLike[str] | None) -> Iterator[None]:
    """Append what campaigns log, a line a trial, to a file. Raises TuningError where it cannot be opened."""
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise TuningError(f"the log cannot be written: {error.strerror}", file=path) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    with handled(log, handler):
        yield


def entry(task: Task, facts: Callable[[Task], tuple[float, ...]] = features.of) -> Entry:
    """What is recorded of a task."""
    return Entry(*Key.of(task), task.name, task.target.name, space.default(task), facts(task))


def elsewhere(records: Records, entries: Sequence[Entry], rng: Random) -> list[Lesson]:
    """What is learned from records of other tasks: up to ``ELSEWHERE`` trials, which count as ``ELSEWHERE_WEIGHT``."""
    each = max(BATCH, ELSEWHERE // max(len(entries), 1))
    found = [_times(records.trials(entry.key), each, rng) for entry in entries]
    weight = min(1.0, ELSEWHERE_WEIGHT / max(sum(map(len, found)), 1))
    return [Lesson(entry, times, weight) for entry, times in zip(entries, found, strict=True)]


def _times(trials: Sequence[Trial], count: int, rng: Random) -> dict[Decisions, float]:
    """Seconds by candidate of up to ``count`` trials: the fastest, and others at random."""
    order = sorted(trials, key=lambda trial: trial.seen)
    fastest, others = order[: count // 2], order[count // 2 :]
    kept = [*fastest, *rng.sample(others, min(len(others), count - len(fastest)))]
    return {trial.decisions: trial.seen for trial in kept}

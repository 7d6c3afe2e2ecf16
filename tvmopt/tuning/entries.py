"""What is recorded: tasks, and the trials of their candidates."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import NamedTuple

import msgspec

from .task import Decisions, Result, Status, Task


class Key(NamedTuple):
    """What a time depends on besides the decisions. Fields as in ``Task``; ``tvm`` is its version."""

    workload: str
    fingerprint: str
    rule: str
    rule_version: str
    tvm: str

    @staticmethod
    def of(task: Task) -> Key:
        """The key of a task, with the TVM that is installed."""
        return Key(task.workload, task.fingerprint, task.rule, task.rule_version, version("apache-tvm"))


class Entry(msgspec.Struct, frozen=True):
    """What is recorded of a task, enough to learn from its trials without its function.

    Attributes
    ----------
    workload, fingerprint, rule, rule_version, tvm : its key.
    name, target : for people.
    start        : the decisions of its default schedule.
    facts        : what the cost model knows of it (``features.facts``).
    """

    workload: str
    fingerprint: str
    rule: str
    rule_version: str
    tvm: str
    name: str
    target: str
    start: Decisions
    facts: tuple[float, ...]

    @property
    def key(self) -> Key:
        """Where its trials are found."""
        return Key(self.workload, self.fingerprint, self.rule, self.rule_version, self.tvm)


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate that was measured, maybe several times. Fields as in ``Result``; ``finished`` is Unix time."""

    decisions: Decisions
    status: Status
    seconds: tuple[float, ...] = ()
    message: str = ""
    finished: float = 0.0

    @property
    def latency(self) -> float:
        """Seconds of one run, the lower quartile, since what disturbs a run makes it slower; infinite unless "ok"."""
        return self.seen if self.status == "ok" else math.inf

    @property
    def seen(self) -> float:
        """As ``latency``, but also of what was given up for being slow: to learn from, not to use."""
        measured = self.status in ("ok", "slow") and self.seconds
        return sorted(self.seconds)[len(self.seconds) // 4] if measured else math.inf

    def joined(self, later: Trial) -> Trial:
        """This trial and another of the same decisions. One that crashed or was wrong once is not trusted again."""
        for trial in (self, later):
            if trial.status in ("wrong", "crash"):
                return trial
        if later.finished <= self.finished:
            return self  # the same one, from a copy of the database
        seconds = tuple(s for trial in (self, later) if trial.status == "ok" for s in trial.seconds)
        return Trial(self.decisions, "ok", seconds, "", later.finished) if seconds else later

    @staticmethod
    def of(decisions: Decisions, result: Result, finished: float) -> Trial:
        """A candidate and its result."""
        return Trial(decisions, result.status, result.seconds, result.message, finished)

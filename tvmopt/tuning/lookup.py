"""What compiling takes from records: the decisions of the fastest right candidate, for the kernels that have one."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exchange, workload
from .entries import Key, Trial
from .records import Records
from .task import Decisions

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from ..target import Target

SHIPPED = Path(str(resources.files("tvmopt.schedules"))) / "records"


class Lookup:
    """Finds decisions for ``lowering.lower``: in the records that the user named, then in those that tvmopt ships.

    Attributes
    ----------
    used : the records that were taken, as the manifest has them, by workload.
    """

    def __init__(self, target: Target, records: Records | None = None) -> None:
        self._fingerprint = workload.fingerprint(target)
        self._named = records
        self._shipped = shipped(self._fingerprint)
        self.used: dict[str, dict[str, Any]] = {}

    def __call__(self, rule: str, func: PrimFunc) -> Decisions:
        """Decisions of a rule for an unscheduled function; none where nothing is recorded."""
        if self._named is None and not self._shipped:
            return ()
        from ..lowering import schedule

        rule_version = str(schedule.load(rule).version)
        key = Key(workload.digest(func), self._fingerprint, rule, rule_version, version("apache-tvm"))
        found = self._find(key)
        if found is None:
            return ()
        trial, source = found
        self.used[key.workload] = {
            "workload": key.workload,
            "rule": rule,
            "decisions": dict(trial.decisions),
            "us": trial.latency * 1e6,
            "records": source,
        }
        return trial.decisions

    def _find(self, key: Key) -> tuple[Trial, str] | None:
        """The fastest right trial, and where it was found."""
        if self._named is not None and (trial := self._named.best(key)) is not None:
            return trial, str(self._named.path)
        return (self._shipped[key], "tvmopt") if key in self._shipped else None


def shipped(fingerprint: str) -> dict[Key, Trial]:
    """The fastest right trial of every task that tvmopt ships records of, for one kind of CPU."""
    found: dict[Key, Trial] = {}
    for path in sorted(SHIPPED.glob(f"*{exchange.SUFFIX}")):
        for line in exchange.read(path, lambda text: fingerprint.encode() in text):
            right = [trial for trial in line.trials if trial.status == "ok"]
            if line.fingerprint == fingerprint and right:
                found[line.key] = min(right, key=lambda trial: trial.latency)
    return found


def stale(key: Key) -> bool:
    """Whether records of that key are never looked up any more: TVM or the schedule rule has another version now."""
    from ..lowering import schedule

    try:
        now = str(schedule.load(key.rule).version)
    except ImportError:
        return True  # the rule is no more
    return (key.rule_version, key.tvm) != (now, version("apache-tvm"))

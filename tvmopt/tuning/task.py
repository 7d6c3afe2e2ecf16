"""What is tuned, and what measuring a candidate gives: the types that searching and measuring share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from ..target import Target

Decisions = tuple[tuple[str, int], ...]
"""What a rule decided, in the order in which it asked: (name, value). As JSON, a list of pairs."""

Status = Literal["ok", "build", "crash", "timeout", "memory", "wrong", "slow", "run"]
"""How the measurement of a candidate ended.

ok      : its output is the default schedule's, bit for bit, and its times are complete.
build   : it could not be scheduled or compiled; crash: the process that compiled or ran it died.
timeout : compiling or running it took longer than allowed; memory: more memory than allowed.
wrong   : its output differs from the default schedule's.
slow    : given up early, since it was clearly slower than the best; its times so far are kept.
run     : it could not be run, for a reason of its own.
"""


@dataclass(frozen=True)
class Choice:
    """A decision that a rule asks for: its name, the value of the default schedule, and all values it may take."""

    name: str
    default: int
    options: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """One kernel to find a schedule for. Tasks of the same ``workload``, ``fingerprint`` and rule share records.

    Attributes
    ----------
    workload     : digest of the unscheduled function: structure, shapes, dtypes and threads. Literals that only
                   take part in arithmetic (zero points, clamps) are left out: no decision depends on them.
    name         : for people: operator and shape.
    func         : the function before it is scheduled.
    target       : what it is compiled for.
    fingerprint  : of the target: what code generation depends on, not its name.
    rule         : the schedule rule that takes it, a module of ``tvmopt.schedules``.
    rule_version : changes when the rule's decisions change their meaning.
    space        : what can be decided, in the order in which the rule asks.
    calls        : how often each of the models being tuned calls it.
    cold         : parameters, by number, that come from memory at every call: constants of a model that has more of
                   them than a cache holds.
    """

    workload: str
    name: str
    func: PrimFunc
    target: Target
    fingerprint: str
    rule: str
    rule_version: str
    space: tuple[Choice, ...]
    calls: tuple[int, ...]
    cold: frozenset[int] = frozenset()

    @property
    def weight(self) -> int:
        """How often all the models together call it."""
        return sum(self.calls)


@dataclass(frozen=True)
class Result:
    """Of one candidate.

    Attributes
    ----------
    status  : how it ended.
    seconds : of one run, once for every repeat; empty unless measured.
    message : why it is not "ok", one line; empty otherwise.
    """

    status: Status
    seconds: tuple[float, ...] = ()
    message: str = ""


class Measurer(Protocol):
    """Builds candidates, checks them and times them.

    Attributes
    ----------
    best : seconds of the fastest known candidate by workload, kept by who asks; what is clearly slower may be given up.
    """

    best: dict[str, float]

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        """Measure candidates; yields each one's index in ``batch`` and its result, as they finish.

        Raises TuningError where no candidate can be measured any more (all workers or all boards are gone).
        """

    def close(self) -> None:
        """End all processes; measuring again starts new ones."""

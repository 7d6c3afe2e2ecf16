"""Measuring on boards: candidates are built here, and run on all boards of a key that an RPC tracker has."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import TuningError
from ..target import Target
from . import board, trial
from .board import NoBoard, OnBoard, Setup, Tracker
from .builder import Built
from .local import BUILDING, RUNNING
from .pool import spread
from .task import Decisions, Result, Task
from .trial import Request
from .worker import Failed, Limits, Worker
from .workshop import Workshop

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Boards that a candidate may be on when they are lost, before it is taken to be the cause."""

PATIENCE_SECONDS = 60.0
"""How long there may be no board before measuring gives up."""


class RpcMeasurer:
    """Measures tasks of one target on boards, each by a worker process here.

    A board that is lost while it runs a candidate loses nothing: the candidate goes to another one. One that comes
    back to the tracker, or is new there, is used.

    Attributes
    ----------
    best : see ``Measurer``.
    """

    def __init__(
        self,
        target: Target,
        tracker: Tracker,
        threads: int = 1,
        *,
        builders: int | None = None,
        building: Limits = BUILDING,
        running: Limits = RUNNING,
        flush_bytes: int = 0,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Parameters are those of ``LocalMeasurer``; seconds of ``running`` are a board's.

        Raises TuningError without a tracker, or where it has no board of the key; DependencyError without a C
        compiler for the target.
        """
        self._tracker, self._patience = tracker, patience_seconds
        found = board.boards(tracker)
        if tracker.key not in found:
            have = ", ".join(f"{key} ({count})" for key, count in sorted(found.items())) or "none at all"
            raise TuningError(f"the tracker at {tracker} has no board of key '{tracker.key}'", hint=f"it has {have}")
        self.best: dict[str, float] = {}
        self._workshop = Workshop(target, threads, builders, building)
        self._setup = Setup(tracker, trial.compile_program(target, self._workshop.path))
        self._running, self._flush_bytes = running, flush_bytes
        self._workers: list[Worker] = []

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        """See ``Measurer``. A task whose default schedule cannot be run has "run" for all its candidates."""
        # What keeps longer than two candidates and their default schedules take has lost its board.
        limits = Limits(4 * self._running.seconds + 30, 4096)
        for _ in range(len(self._workers), max(1, board.boards(self._tracker).get(self._tracker.key, 0))):
            self._workers.append(Worker("tvmopt.tuning.board:prepare", self._setup, limits))
        unbuilt = deque[tuple[int, Result]]()
        losses: Counter[int] = Counter()
        last = time.monotonic()

        def again(index: int, answer: Any) -> bool:
            """Whether a candidate goes to another board."""
            if isinstance(answer, NoBoard):
                if time.monotonic() - last > self._patience:
                    raise TuningError(
                        f"the tracker at {self._tracker} has had no free board of key '{self._tracker.key}' for "
                        f"{self._patience:g} s"
                    )
                return True
            if isinstance(answer, Failed):
                losses[index] += 1
                log.warning("a board is lost: %s", answer.message)
            return isinstance(answer, Failed) and losses[index] < ATTEMPTS

        for index, answer in spread(self._workers, self._requests(batch, unbuilt), again):
            last = time.monotonic()
            measured = answer
            if isinstance(answer, Failed):
                measured = Result("crash", (), f"{ATTEMPTS} boards were lost while it ran: {answer.message}")
            while unbuilt:
                yield unbuilt.popleft()
            yield index, measured
        yield from unbuilt

    def close(self) -> None:
        """See ``Measurer``. Boards are free for others again."""
        self._workshop.close()
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _requests(
        self, batch: Sequence[tuple[Task, Decisions]], unbuilt: deque[tuple[int, Result]]
    ) -> Iterator[tuple[int, OnBoard]]:
        """Build, while boards run what was built before."""
        for index, built in self._workshop.build(batch):
            workload = batch[index][0].workload
            reference = self._workshop.references[workload]
            if isinstance(built, Result):
                unbuilt.append((index, built))
            elif isinstance(reference.default, Failed):
                unbuilt.append((index, Result("run", (), f"the default schedule: {reference.default.message}")))
            else:
                yield index, self._request(workload, reference.default, built)

    def _request(self, workload: str, default: Built, built: Built) -> OnBoard:
        reference = self._workshop.references[workload]
        asked = Request(
            candidate="",
            inputs="",
            expected="",
            result="",
            buffers=reference.buffers,
            scratch=built.scratch,
            limits=self._running,
            best=self.best.get(workload, math.inf),
            flush_bytes=self._flush_bytes,
        )
        return OnBoard(workload, reference.folder / "inputs", default, built, asked)

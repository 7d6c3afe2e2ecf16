"""One candidate on a board: what runs in the worker process that holds a board, over TVM's RPC.

The board runs ``templates/trial.c``, which its RPC server loads; candidates, inputs and results are files there. A
candidate that crashes or hangs there does so in a process of its own, so that the server goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, TuningError
from . import trial
from .builder import Built
from .task import Result
from .trial import Request

if TYPE_CHECKING:
    from tvm.rpc import RPCSession
    from tvm.rpc.client import TrackerSession

WAIT_SECONDS = 2.0
"""How long a worker waits for a board to be free before it says that there is none."""


@dataclass(frozen=True)
class Tracker:
    """Where boards are found: TVM's RPC tracker, and the key of those to use."""

    host: str
    port: int
    key: str

    @staticmethod
    def parse(address: str, key: str | None) -> Tracker:
        """From "HOST:PORT" and a key. Raises InputError for anything else."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise InputError(f"tracker is '{address}', not HOST:PORT")
        if not key:
            raise InputError("a tracker needs the key of the boards to use")
        return Tracker(host, int(port), key)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Setup:
    """tracker : of the boards; program : ``templates/trial.c``, compiled for them."""

    tracker: Tracker
    program: Path


@dataclass(frozen=True)
class OnBoard:
    """A request: run a candidate on any board.

    Attributes
    ----------
    workload : whose candidate it is.
    inputs   : of the workload.
    default  : its default schedule, by which each board makes the expected outputs.
    built    : the candidate.
    trial    : the request that the board gets, but for the names of files.
    """

    workload: str
    inputs: Path
    default: Built
    built: Built
    trial: Request


@dataclass(frozen=True)
class NoBoard:
    """An answer: nothing was tried, because no board was free."""


def prepare(setup: Setup) -> Callable[[OnBoard], Result | NoBoard]:
    """Set up a worker. It raises whatever happens to the board, and takes another one then."""
    from tvm import rpc  # noqa: F401

    held: list[_Board] = []

    def serve(request: OnBoard) -> Result | NoBoard:
        if not held:
            session = _session(setup.tracker)
            if session is None:
                return NoBoard()
            held.append(_Board(session, setup.program))
        try:
            return held[0].run(request)
        except Exception:
            held.clear()
            raise

    return serve


class _Board:
    """A board, for as long as it answers."""

    def __init__(self, session: RPCSession, program: Path) -> None:
        self._session = session
        session.upload(str(program))
        self._run = session.load_module(program.name)["tvmopt_trial"]
        self._refused: dict[str, str] = {}

    def run(self, request: OnBoard) -> Result:
        """Check and time the candidate; the first one of a workload after its default schedule."""
        if request.workload not in self._refused:
            self._session.upload(bytearray(request.inputs.read_bytes()), f"{request.workload}.inputs")
            answer = self._trial(request, request.default, 0)
            self._refused[request.workload] = "" if answer.status == "ok" else f"the default schedule: {answer.message}"
        if refusal := self._refused[request.workload]:
            return Result("run", (), refusal)
        return self._trial(request, request.built, request.trial.best)

    def _trial(self, request: OnBoard, built: Built, best: float) -> Result:
        asked = replace(
            request.trial,
            candidate="./candidate.so",
            inputs=f"{request.workload}.inputs",
            expected=f"{request.workload}.expected",
            result="result",
            scratch=built.scratch,
            best=best,
        )
        self._session.upload(bytearray(built.path.read_bytes()), "candidate.so")
        self._session.upload(bytearray(asked.text().encode()), "request")
        self._run()
        return trial.parse(self._session.download("result").decode())


def connect(tracker: Tracker) -> TrackerSession:
    """A connection to the tracker. Raises TuningError where there is none."""
    import socket

    from tvm import rpc

    try:
        socket.create_connection((tracker.host, tracker.port), 5).close()  # TVM itself would try for a minute
        return rpc.connect_tracker(tracker.host, tracker.port)
    except (OSError, RuntimeError) as error:
        raise TuningError(f"there is no RPC tracker at {tracker}: {error}") from None


def boards(tracker: Tracker) -> dict[str, int]:
    """How many boards of each key are registered with the tracker, used ones included."""
    connection = connect(tracker)
    found: dict[str, int] = {}
    for server in connection.summary()["server_info"]:
        key = server["key"].removeprefix("server:")
        found[key] = found.get(key, 0) + 1
    connection.close()
    return found


def _session(tracker: Tracker) -> RPCSession | None:
    """A board that is free now or within ``WAIT_SECONDS``."""
    connection = connect(tracker)
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        queue = connection.summary()["queue_info"].get(tracker.key)
        if queue and queue["free"]:
            return connection.request(tracker.key, max_retry=1)
        time.sleep(0.1)
    return None

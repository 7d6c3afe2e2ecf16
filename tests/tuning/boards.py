"""Boards to measure on: TVM's RPC servers, on this machine or under an emulator, and the tracker that knows them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from tvmopt.errors import TuningError
from tvmopt.tuning import board
from tvmopt.tuning.board import Tracker

KEY = "test-board"


class Boards:
    """A tracker, and the boards that are connected with it; all end with it."""

    def __init__(self, python: list[str]) -> None:
        """python : the command of the boards' Python."""
        self._python = python
        self._processes: list[subprocess.Popen[bytes]] = []
        self.tracker = Tracker("127.0.0.1", _free_port(), KEY)
        port = str(self.tracker.port)
        self._start(
            [sys.executable], "rpc_tracker", "--host=127.0.0.1", f"--port={port}", f"--port-end={int(port) + 1}"
        )

    def add(self, count: int = 1, seconds: float = 120) -> None:
        """Connect boards, and wait until the tracker has one more of each."""
        wanted = self.count() + count
        for _ in range(count):
            port = _free_port()
            to = ["--tracker", str(self.tracker), "--key", KEY]
            self._start(self._python, "rpc_server", "--host=127.0.0.1", f"--port={port}", f"--port-end={port + 1}", *to)
        end = time.monotonic() + seconds
        while self.count() < wanted:
            assert time.monotonic() < end, "the boards did not come"
            time.sleep(0.1)

    def unplug(self) -> None:
        """End the board that was added last, whatever it is doing."""
        self._end(self._processes.pop())

    def count(self) -> int:
        """How many boards the tracker has."""
        with contextlib.suppress(TuningError):
            return board.boards(self.tracker).get(KEY, 0)
        return 0

    def close(self) -> None:
        """End all."""
        while self._processes:
            self._end(self._processes.pop())

    def _start(self, python: list[str], module: str, *arguments: str) -> None:
        # In a group of its own: servers leave processes behind.
        command = [*python, "-m", f"tvm.exec.{module}", *arguments]
        quiet = subprocess.DEVNULL
        self._processes.append(subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet))

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])

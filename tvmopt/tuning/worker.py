"""Processes that do one request after the other, where a request may crash, hang or eat memory and only that one fails.

A worker is a program that prepares itself once (imports, which may take seconds) and then forks. The fork serves
requests. When one kills it, the program says why and forks again, which takes milliseconds.

    here --requests--> program --fork--> fork, serves them
         <---answers, or what killed the fork---
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import TvmoptError
from .task import Status

_SERVED = 77
"""Exit status of a fork that ended because it was to, not because a request killed it."""


@dataclass(frozen=True)
class Limits:
    """What one request may use: seconds, and MiB on top of what the worker has before."""

    seconds: float = 30.0
    mebibytes: int = 4096


@dataclass(frozen=True)
class Failed:
    """The answer to a request that was not fulfilled; status "run" where an error was raised."""

    status: Status
    message: str


class Lost(Exception):
    """The program itself has ended; its text says why."""


class Worker:
    """The side of a worker that asks.

    Attributes
    ----------
    connection : readable when there is an answer to ``receive``.
    """

    def __init__(
        self, entry: str, setup: Any, limits: Limits, *, once: bool = False, cores: Sequence[int] | None = None
    ) -> None:
        """Start a worker; it prepares itself in the background.

        entry  : "module:function"; the function is called with ``setup`` and returns what serves requests.
        once   : a fork serves one request only, so that nothing is left of those before.
        cores  : CPUs to run on; all of them by default.
        """
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        # Imported by name, not run as a script, so that both sides have the same classes.
        command = [sys.executable, "-c", f"from tvmopt.tuning import worker; worker.main({theirs.fileno()})"]
        # Its own session: an interrupt from the terminal is for the campaign, which then ends its workers.
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=self._errors, start_new_session=True
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # it has ended already; ``receive`` tells
            self.connection.send((entry, setup, limits, once, cores))

    def send(self, request: Any) -> None:
        """Ask; one request at a time. Raises Lost."""
        try:
            self.connection.send(request)
        except OSError:
            raise self._lost() from None

    def receive(self) -> Any:
        """The answer to the last request: what serves it returned, or Failed. Raises Lost."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None

    def close(self) -> None:
        """End it; a request that is being served ends by its time limit at the latest."""
        self.connection.close()
        self._errors.close()
        self._process.poll()

    def kill(self) -> None:
        """End it now, and whatever it is serving."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.close()

    def _lost(self) -> Lost:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return Lost(f"a worker process ended with status {status}{': ' + lines[-1] if lines else ''}")


def main(descriptor: int) -> None:
    """The program; ``descriptor`` is its end of the connection."""
    connection = Connection(descriptor)
    entry, setup, limits, once, cores = connection.recv()
    if cores is not None:
        os.sched_setaffinity(0, cores)
    module, _, function = entry.partition(":")
    serve = getattr(import_module(module), function)(setup)
    while True:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        pid = os.fork()
        if pid == 0:
            _serve(connection, serve, limits, once)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:
            return
        if status != _SERVED:
            connection.send(_cause(status, limits))


def _serve(connection: Connection, serve: Callable[[Any], Any], limits: Limits, once: bool) -> None:
    """What the fork does, until nobody asks any more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * os.sysconf("SC_PAGE_SIZE") + limits.mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            request = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)  # SIGALRM ends the process, whatever it is doing
        try:
            answer = serve(request)
        except Exception as error:
            answer = _failed(error, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(OSError):
            connection.send(answer)
        if once or (isinstance(answer, Failed) and answer.status == "memory"):
            os._exit(_SERVED)


def _failed(error: Exception, limits: Limits) -> Failed:
    text = str(error).strip()
    if isinstance(error, MemoryError) or "bad_alloc" in text:
        return _memory(limits)
    if isinstance(error, TvmoptError):
        return Failed("run", text)
    return Failed("run", f"{type(error).__name__}: {text.splitlines()[-1] if text else 'no reason given'}")


def _memory(limits: Limits) -> Failed:
    return Failed("memory", f"more than {limits.mebibytes} MiB")


def _cause(status: int, limits: Limits) -> Failed:
    """What ended a fork, by its exit status and what it wrote last."""
    said = os.pread(2, 2**16, 0).decode(errors="replace").strip()
    if "bad_alloc" in said or "out of memory" in said.lower():
        return _memory(limits)
    if status == -signal.SIGALRM:
        return Failed("timeout", f"more than {limits.seconds:g} s")
    last = said.splitlines()[-1] if said else ""
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return Failed("crash", f"{how}: {last}" if last else how)

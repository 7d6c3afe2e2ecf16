"""A request that hangs, crashes or eats memory fails by itself; the worker serves on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tvmopt.errors import TuningError
from tvmopt.tuning.pool import spread
from tvmopt.tuning.worker import Failed, Limits, Worker

LIMITS = Limits(seconds=0.5, mebibytes=256)


def start(setup: str = "", once: bool = False) -> Worker:
    return Worker("tests.tuning.planted:serve", setup, LIMITS, once=once)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = start()
    yield worker
    worker.kill()


def ask(worker: Worker, request: str):
    worker.send(request)
    return worker.receive()


def test_what_goes_wrong(worker):
    before = ask(worker, "who")
    assert ask(worker, "fail") == Failed("run", "ValueError: last")
    assert ask(worker, "who") == before
    assert ask(worker, "hang") == Failed("timeout", "more than 0.5 s")
    assert ask(worker, "who") != before
    crash = ask(worker, "abort")
    assert (crash.status, crash.message[:7]) == ("crash", "SIGABRT")
    assert ask(worker, "eat") == Failed("memory", "more than 256 MiB")
    assert isinstance(ask(worker, "who"), int)


def test_one_request_for_each_process():
    worker = start(once=True)
    assert len({ask(worker, "who") for _ in range(3)}) == 3
    worker.kill()


def test_requests_of_a_lost_worker_go_to_another():
    workers = [start(), start()]
    answers = spread(workers, ((key, "who") for key in range(20)))
    assert next(answers)[0] in (0, 1)
    os.killpg(workers[0]._process.pid, signal.SIGKILL)
    assert {key for key, _ in answers} | {0, 1} == set(range(20))
    assert len(workers) == 1
    workers[0].kill()


def test_no_worker_left():
    with pytest.raises(TuningError, match=r"no worker process is left.*RuntimeError: it cannot be set up"):
        list(spread([start("no setup"), start("no setup")], [(0, "who")]))


def test_answers_that_nobody_wants():
    workers = [start(), start()]
    answers = spread(workers, [(0, "who"), (1, "hang")])
    next(answers)
    answers.close()
    assert len(workers) == 1
    assert isinstance(ask(workers[0], "who"), int)
    workers[0].kill()

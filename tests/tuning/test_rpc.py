"""Candidates on boards: in parallel, wherever there are some, and none is lost when a board is."""

from __future__ import annotations

import os
import random
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.tuning import kernels
from tests.tuning.boards import KEY, Boards
from tvmopt import target as targets
from tvmopt.errors import TuningError
from tvmopt.target import Target
from tvmopt.tuning import space
from tvmopt.tuning.board import Tracker
from tvmopt.tuning.rpc import RpcMeasurer
from tvmopt.tuning.task import Result
from tvmopt.tuning.worker import Limits

HOST = targets.get("host")
EMULATED = os.environ.get("TVMOPT_EMULATED_PYTHON", "")


@pytest.fixture(scope="module")
def boards() -> Iterator[Boards]:
    with closing(Boards([sys.executable])) as boards:
        boards.add(2)
        yield boards


def measure(measurer: RpcMeasurer, target: Target, candidates: int) -> Iterator[tuple[int, Result]]:
    task, rng = kernels.convolution(target), random.Random(candidates)
    return measurer.measure([(task, space.sample(task, rng)) for _ in range(candidates)])


def check_boards(boards: Boards, target: Target, limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    """Two boards, of which one is lost and comes back: every candidate gets its result."""
    measurer = RpcMeasurer(target, boards.tracker, running=limits)
    results = dict(measure(measurer, target, 8))
    assert results.keys() == set(range(8))
    assert {result.status for result in results.values()} <= {"ok", "slow"}
    assert not caplog.records

    answers = measure(measurer, target, 9)
    results = dict([next(answers)])
    boards.unplug()
    results |= dict(answers)
    assert results.keys() == set(range(9))
    assert {result.status for result in results.values()} <= {"ok", "slow"}
    assert any("a board is lost" in record.message for record in caplog.records)
    assert boards.count() == 1

    boards.add()
    caplog.clear()
    results = dict(measure(measurer, target, 10))
    assert {result.status for result in results.values()} <= {"ok", "slow"}
    assert not caplog.records
    measurer.close()


def test_two_boards(boards, caplog):
    check_boards(boards, HOST, Limits(10, 1024), caplog)


@pytest.mark.hardware("an emulated aarch64 system with TVM: see docs/boards.md")
@pytest.mark.skipif(not EMULATED, reason="needs TVMOPT_EMULATED_PYTHON, see docs/boards.md")
def test_two_emulated_boards(caplog):
    with closing(Boards(shlex.split(EMULATED))) as boards:
        boards.add(2, seconds=300)
        check_boards(boards, targets.get("arm/cortex-a72"), Limits(60, 1024), caplog)


def test_wrong_key(boards):
    other = Tracker(boards.tracker.host, boards.tracker.port, "toaster")
    with pytest.raises(TuningError, match=rf"has no board of key 'toaster' \(it has {KEY} \(2\)\)"):
        RpcMeasurer(HOST, other)


def test_no_tracker():
    with pytest.raises(TuningError, match=r"there is no RPC tracker at 127.0.0.1:9: "):
        RpcMeasurer(HOST, Tracker("127.0.0.1", 9, KEY))


def test_all_boards_lost():
    with closing(Boards([sys.executable])) as boards:
        boards.add()
        with closing(RpcMeasurer(HOST, boards.tracker, patience_seconds=1)) as measurer:
            answers = measure(measurer, HOST, 4)
            next(answers)
            boards.unplug()
            with pytest.raises(TuningError, match=f"has had no free board of key '{KEY}' for 1 s"):
                list(answers)

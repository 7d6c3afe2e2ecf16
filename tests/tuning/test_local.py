"""Candidates on this machine: the right ones are timed, wrong ones caught, and those that break things cost only
themselves."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import sys
from collections.abc import Iterator

import msgspec
import pytest

from tests.tuning import kernels, planted
from tvmopt import target as targets
from tvmopt.errors import TuningError
from tvmopt.tuning import extract, space, workshop
from tvmopt.tuning.local import LocalMeasurer
from tvmopt.tuning.task import Result, Task
from tvmopt.tuning.worker import Limits, Worker

HOST = targets.get("host")


@pytest.fixture(scope="module", autouse=True)
def all_cpus() -> None:
    """TVM's thread pool, where other tests used it, has bound this process to one CPU."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


@pytest.fixture(scope="module")
def measurer() -> Iterator[LocalMeasurer]:
    measurer = LocalMeasurer(HOST)
    yield measurer
    measurer.close()


@pytest.fixture
def planting(monkeypatch) -> Iterator[LocalMeasurer]:
    """A measurer whose workers know the rule "planted"."""

    def start(entry, *args, **options):
        return Worker(entry.replace("tvmopt.tuning.builder", "tests.tuning.planted"), *args, **options)

    monkeypatch.setattr(workshop, "Worker", start)
    measurer = LocalMeasurer(HOST, builders=1, building=Limits(2, 1024), running=Limits(1, 1024))
    yield measurer
    measurer.close()


def planted_task(monkeypatch, func) -> Task:
    for name, module in planted.MODULES.items():
        monkeypatch.setitem(sys.modules, name, module)
    task = extract.of("planted", func, msgspec.structs.replace(HOST, schedules=["planted"]))
    assert task is not None
    return task


def measure(measurer, batch) -> list[Result]:
    results = dict(measurer.measure(batch))
    assert results.keys() == set(range(len(batch)))
    return [results[index] for index in range(len(batch))]


@pytest.mark.parametrize("threads", [1, 2])
def test_candidates(measurer, threads):
    task, rng = kernels.convolution(threads=threads), random.Random(0)
    batch = [(task, space.default(task)), *((task, space.sample(task, rng)) for _ in range(7))]
    own = measurer if threads == 1 else LocalMeasurer(HOST, threads)
    first, *others = measure(own, batch)
    assert first.status == "ok"
    assert len(first.seconds) >= 5
    assert all(result.status == "ok" for result in others)  # none is slow: what is the best is for others to say
    if own is not measurer:
        own.close()


def test_much_slower_than_the_best(measurer):
    task = kernels.convolution(size=20)
    measurer.best[task.workload] = 1e-9
    (result,) = measure(measurer, [(task, space.default(task))])
    assert result.status == "slow"
    assert len(result.seconds) == 2


def test_flushed_cache():
    task = kernels.convolution()
    measurer = LocalMeasurer(HOST, flush_bytes=2**20)
    (result,) = measure(measurer, [(task, space.default(task))])
    measurer.close()
    assert result.status == "ok"


def test_cold_weights(measurer):
    task = dataclasses.replace(kernels.convolution(size=6), cold=frozenset({1}))
    (result,) = measure(measurer, [(task, space.default(task))])
    assert result.status == "ok"


def test_what_goes_wrong(planting, monkeypatch):
    task = planted_task(monkeypatch, planted.function())
    results = measure(planting, [(task, (("plant", what),)) for what in range(10)])
    statuses = dict(zip(range(10), (result.status for result in results), strict=True))
    assert statuses == {
        planted.GOOD: "ok",
        planted.WRONG: "wrong",
        planted.BEYOND: "wrong",
        planted.HANGS: "timeout",
        planted.ABORTS: "crash",
        planted.SKIPS: "wrong",
        planted.BUILD_FAILS: "build",
        planted.BUILD_HANGS: "timeout",
        planted.BUILD_ABORTS: "crash",
        planted.BUILD_EATS: "memory",
    }
    assert re.match("1[0-9]{3} of 4000 bytes differ from the default schedule's", results[planted.WRONG].message)
    assert results[planted.SKIPS].message.startswith("4 of 4000 bytes differ")
    assert "beyond its buffers" in results[planted.BEYOND].message
    assert results[planted.ABORTS].message == "Aborted"
    assert results[planted.BUILD_FAILS].message.endswith("not like this")


def test_default_that_cannot_run(planting, monkeypatch):
    task = planted_task(monkeypatch, planted.calling("abort").with_attr("tvmopt.threads", 1))
    (result,) = measure(planting, [(task, (("plant", planted.WRONG),))])
    assert result == Result("run", (), "the default schedule: Aborted")


def test_other_machines():
    with pytest.raises(TuningError, match=r"does not run code for arm/cortex-a72.*--tracker"):
        LocalMeasurer(targets.get("arm/cortex-a72"))
    other = msgspec.structs.replace(HOST, host=msgspec.structs.replace(HOST.host, flags=["sse2", "time_machine"]))
    with pytest.raises(TuningError, match="no time_machine"):
        LocalMeasurer(other)

"""Time runtimes in turn: A B A B ..., so that a machine that slows down slows all of them."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..peers import Runner

log = logging.getLogger(__name__)

ROUNDS = 10
BLOCK_SECONDS = 0.03
"""Time a runtime gets in every round, if that is enough for three runs."""

PAUSE_SECONDS = 0.005
"""Between blocks, so that another runtime's spinning threads are asleep."""

SLOW_SECONDS = 0.1
"""A run longer than this is its own warm-up: one run a round."""


@dataclass(frozen=True)
class Row:
    """Times of one runtime; None when it did not run, and ``status`` says why. "ok" otherwise."""

    runtime: str
    median_us: float | None
    min_us: float | None
    runs: int
    status: str


@dataclass(frozen=True)
class Comparison:
    """Times of a model by runtime, tvmopt first.

    ratio : runtime -> how many times faster tvmopt is, by medians; only runtimes that ran.
    """

    model: str
    target: str
    threads: int
    rows: list[Row]
    ratio: dict[str, float]
    machine: str
    versions: dict[str, str]


def interleave(runners: Mapping[str, Runner]) -> dict[str, list[float]]:
    """Time every runner, in rounds of one block each; returns seconds per run.

    A block is one run to warm up and then at least three timed ones; a runner that takes longer than
    ``SLOW_SECONDS`` is timed once a round, without warm-up.
    """
    times: dict[str, list[float]] = {name: [] for name in runners}
    slow = {name: _timed(run) > SLOW_SECONDS for name, run in runners.items()}
    for number in range(ROUNDS):
        for name, run in runners.items():
            log.info("bench: round %d of %d, %s", number + 1, ROUNDS, name)
            time.sleep(PAUSE_SECONDS)
            times[name] += [_timed(run)] if slow[name] else _block(run)
    return times


def compare(
    model: str, target: str, threads: int, runners: Mapping[str, Runner], refused: Mapping[str, str]
) -> Comparison:
    """Time ``runners``, of which the first is tvmopt, and list those that were ``refused`` with their status."""
    times = interleave(runners)
    rows = [Row(name, statistics.median(runs) * 1e6, min(runs) * 1e6, len(runs), "ok") for name, runs in times.items()]
    rows += [Row(name, None, None, 0, status) for name, status in refused.items()]
    own, *others = times
    ratio = {name: statistics.median(times[name]) / statistics.median(times[own]) for name in others}
    return Comparison(model, target, threads, rows, ratio, machine(), _versions([*times, *refused]))


def _block(run: Runner) -> list[float]:
    run()
    end = time.perf_counter() + BLOCK_SECONDS
    times = [_timed(run) for _ in range(3)]
    while time.perf_counter() < end:
        times.append(_timed(run))
    return times


def _timed(run: Runner) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.machine()


_PACKAGES = {
    "tvmopt": "tvmopt",
    "onnxruntime": "onnxruntime",
    "tvm": "apache-tvm",
    "openvino": "openvino",
    "litert": "ai-edge-litert",
}


def _versions(runtimes: list[str]) -> dict[str, str]:
    found = {}
    for name in runtimes:
        try:
            found[name] = importlib.metadata.version(_PACKAGES[name])
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

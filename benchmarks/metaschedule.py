"""TVM's own MetaSchedule, repaired just enough to run: what ``benchmarks.tuning`` compares with.

Its builder starts new processes for every batch, and every one imports the tensor intrinsics of all back ends, 13-25 s,
of its 30 s for a candidate. Empty modules stand for those that x86 does not need.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvmopt.tuning.task import Task

UNNEEDED = ("cuda", "rocm", "hexagon", "riscv_cpu")
FAILED_SECONDS = 1e9
"""What its database says of candidates that failed, at least."""


@dataclass(frozen=True)
class Run:
    """Trials it made, those among them that failed, seconds that it took, and the best microseconds it found."""

    trials: int
    failed: int
    seconds: float
    best_us: float


def repair() -> None:
    """Leave out intrinsics of other architectures, in this process."""
    for name in UNNEEDED:
        full = f"tvm.s_tir.tensor_intrin.{name}"
        sys.modules.setdefault(full, ModuleType(full))


def tune(task: Task, trials: int, batch: int) -> Run:
    """Tune an unscheduled kernel in MetaSchedule's own space for CPUs, with its builder, runner and cost model.

    In a process of its own, which keeps its warnings, one for every failed attempt to tensorize, to itself.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_tune, task, trials, batch).result()


def _tune(task: Task, trials: int, batch: int) -> Run:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    import tvm
    from tvm.s_tir import meta_schedule

    repair()
    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
    target = tvm.target.Target({**task.target.tvm().export(), "num-cores": 1})
    with TemporaryDirectory() as folder:
        begin = time.perf_counter()
        database = meta_schedule.tune_tir(
            task.func.with_attr("global_symbol", "main"),
            target,
            folder,
            max_trials_global=trials,
            num_trials_per_iter=batch,
            builder=meta_schedule.builder.LocalBuilder(initializer=repair),
            num_tuning_cores=len(os.sched_getaffinity(0)),
            seed=1,
        )
        seconds = time.perf_counter() - begin
        times = [_seconds(record) for record in database.get_all_tuning_records()]
    right = [one for one in times if one < FAILED_SECONDS]
    return Run(len(times), len(times) - len(right), seconds, min(right, default=math.nan) * 1e6)


def _seconds(record: object) -> float:
    found = [float(second) for second in record.run_secs or ()]  # type: ignore[attr-defined]
    return sum(found) / len(found) if found else math.inf

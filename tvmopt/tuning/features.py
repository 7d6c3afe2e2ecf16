"""What the cost model knows of a candidate: facts of its task, and its decisions beside them.

Both are in the records, so that every record can be learned from, by any later campaign, without lowering its model
again. MetaSchedule's features [1] of the default schedule are the facts: they tell what a kernel computes and how it
touches memory. Those of every candidate would say little more, being a function of the task and the decisions, and
cost as much time as building it (20-30 ms).

[1] Zheng et al., "Ansor: Generating High-Performance Tensor Programs for Deep Learning", OSDI 2020, appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from . import space
from .task import Decisions, Task

AXES = 4
"""Extents of the output that are kept, the innermost ones."""

SUM_BYTES = 4
"""Of an accumulator."""

REGISTERS = {8: 16}
"""Vector registers of CPUs whose vectors have so many lanes (AVX2); others have 32 (AVX-512, AArch64)."""

LATENCY = 10
"""Sums that must be in flight to hide the latency of a multiply-add (4-5 cycles, two a cycle)."""


def of(task: Task) -> tuple[float, ...]:
    """Facts of a task: extents of its output, the last also in vectors; lanes of one; MetaSchedule's features."""
    lanes = max(1, task.target.vector_bytes // SUM_BYTES)
    shape = [int(extent) for extent in task.func.params[-1].ty.shape]
    axes = ([1] * AXES + shape)[-AXES:]
    stores = _per_store(task).max(axis=0)
    return (*map(float, axes), axes[-1] / lanes, float(lanes), *(round(float(value), 3) for value in stores))


def _per_store(task: Task) -> np.ndarray:
    """MetaSchedule's features of the default schedule, a row for every store."""
    import tvm
    from tvm.s_tir import Schedule, meta_schedule
    from tvm.s_tir.meta_schedule import _ffi_api

    # TuneContext.__init__ would import all of TVM's tensor intrinsics, of which we use none: 13-25 s.
    context = meta_schedule.TuneContext.__new__(meta_schedule.TuneContext)
    mod, target = tvm.IRModule({"main": task.func}), task.target.tvm()
    context.__init_handle_by_constructor__(_ffi_api.TuneContext, mod, target, None, None, "", 1, 1, None)
    extractor = meta_schedule.feature_extractor.PerStoreFeature()
    scheduled = tvm.IRModule({"main": space.apply(task, space.default(task))})
    candidate = meta_schedule.MeasureCandidate(Schedule(scheduled), [])
    (found,) = extractor.extract_from(context, [candidate])
    return np.asarray(found.numpy())


def estimate(facts: Sequence[float], start: Decisions, candidates: Sequence[Decisions]) -> np.ndarray:
    """What can be said of candidates before any was measured: log(default's cycles / candidate's), float64.

    It is about kernels that keep a tile of ``pixels`` x ``vectors`` sums in registers, and 0 for others. One step of
    the reduction takes as long as its multiply-adds, its loads or the latency, two of each in a cycle; every register
    that a tile has too many is stored and loaded; tiles beyond the end of an axis compute nothing. The default tile is
    the best by nearly the same (``schedules._contraction.register_tile``), among those that fit.
    """
    extents, registers = np.array([facts[AXES - 2], math.ceil(facts[AXES])]), REGISTERS.get(int(facts[AXES + 1]), 32)
    if not {"pixels", "vectors"} <= dict(start).keys():
        return np.zeros(len(candidates))
    tiles = [(value["pixels"], value["vectors"]) for value in map(dict, (start, *candidates))]
    tile = np.minimum(np.array(tiles, np.float64), extents)
    sums, loads = tile.prod(axis=1), tile.sum(axis=1)
    spilled = np.maximum(0, sums + tile[:, 1] + 1 - registers)
    step = np.maximum(np.maximum(sums, loads), LATENCY) / 2 + 1 + spilled
    cycles = np.log(step * np.ceil(extents / tile).prod(axis=1))
    return cycles[0] - cycles[1:]


def matrix(
    facts: Sequence[float], start: Decisions, candidates: Sequence[Decisions], names: Sequence[str]
) -> np.ndarray:
    """Features of candidates of one task: float32 [candidates, features]; NaN for decisions that the task has not.

    For every decision that ``names`` lists, in that order: its value, its ratio to the default, and how much of each
    axis tiles of that size leave unused; for every two, the product; then the facts.
    """
    column = {name: index for index, name in enumerate(names)}
    values = np.full((len(candidates) + 1, len(names)), np.nan, np.float32)
    for row, decisions in enumerate((start, *candidates)):
        for name, value in decisions:
            if name in column:
                values[row, column[name]] = value
    first, values = values[:1], values[1:]
    logs = np.log2(np.maximum(values, 0.5))
    extents = np.ceil(np.asarray(facts[: AXES + 1], np.float32))[:, None, None]
    tiles = np.maximum(values, 1)
    unused = 1 - extents / (np.ceil(extents / tiles) * tiles)
    pairs = [logs[:, a] + logs[:, b] for a, b in combinations(range(len(names)), 2)]
    columns = [logs, logs - np.log2(np.maximum(first, 0.5)), *unused, *(pair[:, None] for pair in pairs)]
    same = np.broadcast_to(np.asarray(facts, np.float32), (len(candidates), len(facts)))
    return np.concatenate([*columns, same], axis=1)

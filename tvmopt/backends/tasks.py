"""Parallel loops as tasks, which threads claim one by one (templates/parallel.c)."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import tirx

PER_THREAD = 4
"""Tasks of each thread, so that a slow one leaves some of its share to others; at most twice as many
where that makes shares alike."""


def serial(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """``for i in parallel(n)``  ->  ``for i in range(n)``"""
    from tvm import tirx

    return replaced(func, lambda loop: tirx.For(loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body))


def split(func: tirx.PrimFunc, threads: int) -> tirx.PrimFunc:
    """``for i in parallel(n)``  ->  ``tasks = n / step; for t in parallel(tasks): for i in range(t * step, ...)``

    The extent is a variable so that LLVM's code generator hands it to the runtime: a parallel loop becomes a function
    whose closure holds the variables that it reads, in the order of their use, and the extent is the first.
    """
    from tvm import tirx

    def tasks(loop: tirx.For) -> tirx.Stmt:
        extent = int(loop.extent)
        step = step_of(extent, threads)
        count, task = tirx.Var("tasks", "int32"), tirx.Var("task", "int32")
        begin = (task * step).astype(str(loop.loop_var.ty.dtype))
        length = step if extent % step == 0 else tirx.min(step, extent - begin)
        body = tirx.For(loop.loop_var, begin, length, tirx.ForKind.SERIAL, loop.body)
        shared = tirx.For(task, 0, count, tirx.ForKind.PARALLEL, body)
        return tirx.SeqStmt([tirx.Bind(count, tirx.IntImm("int32", ceil(extent / step))), shared])

    return replaced(func, tasks)


def step_of(extent: int, threads: int) -> int:
    """Iterations of a task: as many as leave ``PER_THREAD`` tasks for each thread, or down to half of that where
    threads of equal speed are done sooner.
    """
    most = PER_THREAD * threads
    steps = range(ceil(extent / most), ceil(extent / (2 * most)) - 1, -1)
    return min(steps, key=lambda step: _longest(extent, step, threads))


def _longest(extent: int, step: int, threads: int) -> int:
    """Iterations of the thread that has most to do."""
    tasks = ceil(extent / step)
    last = extent - (tasks - 1) * step if tasks % threads == 1 else step
    return (ceil(tasks / threads) - 1) * step + last


def replaced(func: tirx.PrimFunc, change: Any) -> tirx.PrimFunc:
    """``func`` with its parallel loops changed."""
    import tvm_ffi
    from tvm import tirx

    def visit(loop: tirx.For) -> tirx.Stmt:
        return change(loop) if loop.kind == tirx.ForKind.PARALLEL else loop

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.For, visit)))

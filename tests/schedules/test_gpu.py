"""The interpreter of kernels finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import te, tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm_ffi import structural_map, structural_walk
from tvmopt.schedules._tir import at

from tvmopt import target as targets
from tvmopt.lowering.schedule import apply
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import MatMul

from . import gpu
from .convolutions import matmul
from .cuda import Case

TARGET = targets.get("cuda/sm_80")


@pytest.fixture(scope="module")
def case() -> Case:
    a, b, y = QParams.per_tensor(0.1, 3, "uint8"), QParams.per_tensor(0.1, 0, "int8"), QParams.per_tensor(9, 3, "uint8")
    rng = np.random.default_rng(0)
    weight, x = rng.integers(-128, 128, (256, 32), np.int8), rng.integers(0, 256, (32, 256), np.uint8)
    return Case(MatMul(a, b, weight, np.zeros(32, np.int32), y, (0, 255)), (x,), TARGET)


def changed(func: tvm.tirx.PrimFunc, name: str, change: Callable[[tirx.Evaluate], tirx.Stmt]) -> tvm.tirx.PrimFunc:
    """``func`` with something else for the calls of an instruction."""

    def visit(stmt: tirx.Evaluate) -> tirx.Stmt:
        call = stmt.value
        names = [str(getattr(call.op, "name", "")), *(str(getattr(arg, "value", "")) for arg in call.args)]
        return change(stmt) if name in names else stmt

    return structural_map(func, [(tirx.Evaluate, visit)])


def removed(stmt: tirx.Evaluate) -> tirx.Stmt:
    return tirx.Evaluate(tirx.const(0))


def moved(stmt: tirx.Evaluate, which: int, by: int) -> tirx.Stmt:
    """A call one of whose addresses is so many elements further."""
    call = stmt.value
    (load,) = call.args[which].args
    args = [*call.args]
    args[which] = at(load.source, *load.indices[:-1], load.indices[-1] + by)
    return tirx.Evaluate(tirx.call_intrin("", call.op.name, *args))


def one_group_more(stmt: tirx.Evaluate) -> tirx.Stmt:
    """A wait for one group of copies less than needed."""
    call = stmt.value
    args = [call.args[0], tirx.const(int(call.args[1]) + 1), *call.args[2:]]
    return tirx.Evaluate(tirx.call_intrin("", call.op.name, *args))


def check(case: Case, func: tvm.tirx.PrimFunc, says: str) -> None:
    # TVM itself would put some barriers back
    with pytest.raises(AssertionError, match=says), tvm.transform.PassContext(disabled_pass=["s_tir.ThreadSync"]):
        case.check(func)


def test_a_good_kernel(case):
    case.check()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("tirx.tvm_storage_sync", removed, "without a barrier"),
        ("tvmopt_wait", removed, "read before it is written"),
        ("tvmopt_wait", one_group_more, "read before it is written"),
        ("tvmopt_commit", removed, "read before it is written"),
        ("tvmopt_copy16", removed, "read before it is written"),
        ("tvmopt_copy16", lambda stmt: tirx.SeqStmt([stmt, stmt]), "while a copy is under way"),
        ("tvmopt_copy16", lambda stmt: moved(stmt, 1, 8), "cp.async at an odd address"),
        ("tvmopt_copy16", lambda stmt: moved(stmt, 2, 4), "cp.async at an odd address"),
        ("tvmopt_ldmatrix", lambda stmt: moved(stmt, 2, 8), "ldmatrix at an odd address"),
        ("tvmopt_ldmatrix", lambda stmt: moved(stmt, 2, 1 << 20), r"tile: \d+\.\.\d+ of"),
        ("tvmopt_move8", lambda stmt: moved(stmt, 1, 4), "a vector at an odd address"),
        ("tvmopt_move8", lambda stmt: moved(stmt, 1, 2048), r"output: \d+\.\.\d+ of 1024"),
        ("tvmopt_mma", removed, "Mismatched elements"),
    ],
)
def test_a_kernel_with_a_fault(case, name, change, says):
    check(case, changed(case.func, name, change), says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tirx.tvm_storage_sync", "barrier that not all threads reach"),
        ("tvmopt_ldmatrix", "ldmatrix that not all lanes reach"),
        ("tvmopt_mma", "mma that not all lanes reach"),
    ],
)
def test_an_instruction_that_some_threads_miss(case, name, says):
    func = case.func
    threads: list[tirx.Var] = []

    def note(loop: tirx.For) -> None:
        if loop.thread_binding is not None and str(loop.thread_binding.thread_tag) == "threadIdx.x":
            threads.append(loop.loop_var)

    structural_walk(func.body, (tirx.For, note))
    (thread,) = threads
    check(case, changed(func, name, lambda stmt: tirx.IfThenElse(thread < 16, stmt, None)), says)


def test_registers_and_workspaces_that_nothing_wrote():
    case = Case(*matmul(5, 512, 32), TARGET)
    func = apply("cuda_mma", case.kernel.func, TARGET, [("splits", 2)])
    case.check(func)

    def unset(store: tirx.BufferStore) -> tirx.Stmt:
        return tirx.Evaluate(tirx.const(0)) if store.buffer.name == "sums" else store

    check(case, structural_map(func, [(tirx.BufferStore, unset)]), "sums: read before it is written")
    check(case, changed(func, "tvmopt_move16", removed), "read before it is written")


def run(body: Callable[[Any, Any, Any], tirx.Stmt], threads: int = 1) -> None:
    """A kernel of one block that is given a thread's index, an input, and the output."""
    x, y = (tirx.decl_buffer((64,), "float32", name) for name in ("x", "y"))
    thread = tirx.Var("thread", "int32")
    axis = tirx.IterVar(tvm.ir.Range(0, threads), thread, tirx.IterVar.ThreadIndex, "threadIdx.x")
    grid = tirx.For(thread, tirx.const(0), tirx.const(threads), tirx.ForKind.THREAD_BINDING, body(thread, x, y), axis)
    func = tirx.PrimFunc([x, y], SBlockRealize([], True, SBlock([], [], [], "root", grid)))
    gpu.execute(func.with_attr("s_tir", True), TARGET, [np.zeros(64, np.float32)], np.zeros(64, np.float32))


def copied(to: Any, source: Any, begin: Any) -> tirx.Stmt:
    """Four elements as one vector."""
    lanes = tirx.Ramp(begin, tirx.const(1), 4)
    return tirx.BufferStore(to, tirx.BufferLoad(source, [lanes]), [lanes])


def test_vectors_at_odd_addresses():
    run(lambda thread, x, y: copied(y, x, thread * 4), 16)
    with pytest.raises(AssertionError, match="output: a vector at an odd address"):
        run(lambda thread, x, y: copied(y, x, thread * 4 + 2), 15)


def test_inputs_are_only_read():
    with pytest.raises(AssertionError, match="argument 0: a kernel writes it"):
        run(lambda thread, x, y: tirx.BufferStore(x, x[thread] + 1, [thread]))


def test_more_than_a_launch_may_have():
    with pytest.raises(AssertionError, match="a grid of 2048"):
        run(lambda thread, x, y: tirx.BufferStore(y, x[thread], [thread]), 2048)
    case = Case(*matmul(128, 256, 256), TARGET)
    func = apply("cuda_mma", case.kernel.func, TARGET, [("rows", 128), ("columns", 256)])
    with pytest.raises(AssertionError, match="bytes of shared memory"):
        gpu.run(
            func, targets.get("cuda/sm_75"), case.arguments, np.zeros(case.kernel.out.physical, case.kernel.out.dtype)
        )


def test_several_threads_that_write_one_element():
    x = te.placeholder((8,), "float32", "x")
    sch = Schedule(te.create_prim_func([x, te.compute((8,), lambda i: x[i], "y")]))
    sch.bind(sch.add_unit_loop(sch.get_loops(sch.get_sblock("y"))[0]), "blockIdx.x")
    func = sch.mod["main"]
    twice = structural_map(
        func, [(tirx.For, lambda loop: _extent(loop, 2) if loop.thread_binding is not None else loop)]
    )
    with pytest.raises(AssertionError, match="two threads write one element"):
        gpu.execute(twice, TARGET, [np.zeros(8, np.float32)], np.zeros(8, np.float32))


def _extent(loop: tirx.For, extent: int) -> tirx.For:
    axis = tirx.IterVar(tvm.ir.Range(0, extent), loop.thread_binding.var, 1, loop.thread_binding.thread_tag)
    return tirx.For(loop.loop_var, loop.min, tirx.const(extent), loop.kind, loop.body, axis)

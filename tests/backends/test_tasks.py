"""How parallel loops are cut into tasks."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from tvm import s_tir, te, tirx

from tvmopt.backends import tasks


def func(extent: int, index: str = "int32") -> tirx.PrimFunc:
    x = te.placeholder((tirx.IntImm(index, extent),), "int32", "x")
    sch = s_tir.Schedule(te.create_prim_func([x, te.compute(x.shape, lambda i: x[i] * 2, "y")]))
    sch.parallel(*sch.get_loops(sch.get_sblock("y")))
    return sch.mod["main"]


@given(extent=st.integers(1, 10_000), threads=st.integers(2, 64))
def test_no_thread_has_much_more_to_do(extent: int, threads: int) -> None:
    step = tasks.step_of(extent, threads)
    most = tasks.PER_THREAD * threads
    number = ceil(extent / step)
    assert number <= 2 * most
    assert number >= min(extent, most) // 2  # a step may leave tasks out at the end
    shares = [range(i * number // threads, (i + 1) * number // threads) for i in range(threads)]
    iterations = [sum(min(step, extent - task * step) for task in share) for share in shares]
    assert sum(iterations) == extent
    assert max(iterations) < ceil(extent / threads) + step
    if extent <= 2 * most:
        assert max(iterations) == ceil(extent / threads)


def test_alike_where_tasks_divide() -> None:
    assert [tasks.step_of(extent, 2) for extent in (7, 8, 14, 28, 49, 56, 112)] == [1, 1, 1, 2, 6, 7, 14]


def test_split() -> None:
    text = tasks.split(func(49), 2).script()
    assert "tasks: T.let[T.int32] = 9" in text
    assert "in T.parallel(tasks)" in text
    assert "range(task * 6, task * 6 + T.min(6, 49 - task * 6))" in text


def test_loops_of_64_bits() -> None:
    text = tasks.split(func(49, "int64"), 2).script()
    assert "for task in T.parallel(tasks)" in text
    assert 'T.Cast("int64", task * 6)' in text


def test_serial() -> None:
    assert "parallel" in func(8).script()
    assert "parallel" not in tasks.serial(func(8)).script()

"""Which kernels only put their inputs beside each other."""

from __future__ import annotations

from typing import Any

import pytest
from tvm import s_tir, te, tirx, topi
from tvm.script import tirx as T

from tvmopt.backends.parts import parts


def concat(axis: int, *shapes: tuple[int, ...], dtype: str = "int16") -> tirx.PrimFunc:
    tensors = [te.placeholder(shape, dtype, name=f"x{i}") for i, shape in enumerate(shapes)]
    return te.create_prim_func([*tensors, topi.concatenate(tensors, axis)])


def test_along_the_outermost_axis_that_counts() -> None:
    assert parts(concat(0, (3, 5), (1, 5), (2, 5)), 3) == {0: 0, 1: 30, 2: 40}
    assert parts(concat(1, (1, 3, 5), (1, 1, 5)), 2) == {0: 0, 1: 30}


def test_parts_that_are_not_in_one_piece() -> None:
    assert parts(concat(1, (2, 3), (2, 1)), 2) == {}


@pytest.mark.parametrize("factor", [4, 7])
def test_scheduled(factor: int) -> None:
    sch = s_tir.Schedule(concat(0, (3, 5), (1, 5)))
    outer, inner = sch.split(sch.fuse(*sch.get_loops(sch.get_sblock("T_concat"))), [None, factor])
    sch.parallel(outer)
    sch.vectorize(inner)
    assert parts(sch.mod["main"], 2) == {0: 0, 1: 30}


def test_one_block_for_each_input() -> None:
    @T.prim_func(s_tir=True)
    def blocks(
        a: T.Buffer((1, 8), "int8"),
        b: T.Buffer((1, 4), "int8"),
        unused: T.Buffer((2,), "float32"),
        y: T.Buffer((1, 12), "int8"),
    ):
        for i, j in T.grid(1, 8):
            with T.sblock("a"):
                n, c = T.axis.remap("SS", [i, j])
                y[n, c] = a[n, c]
        for i, j in T.grid(1, 4):
            with T.sblock("b"):
                n, c = T.axis.remap("SS", [i, j])
                y[n, c + 8] = b[n, c]

    assert parts(blocks, 3) == {0: 0, 1: 8}


def elementwise(value: Any) -> tirx.PrimFunc:
    a, b = (te.placeholder((4,), "int8", name=name) for name in "ab")
    y = te.compute((8,), lambda i: te.if_then_else(i < 4, value(a[i % 4]), b[i % 4]), name="y")
    return te.create_prim_func([a, b, y])


def test_elements_that_change_or_move() -> None:
    assert parts(elementwise(lambda a: a + te.const(1, "int8")), 2) == {}
    a = te.placeholder((8,), "int8", name="a")
    assert parts(te.create_prim_func([a, te.compute((8,), lambda i: a[7 - i])]), 1) == {}
    assert parts(te.create_prim_func([a, te.compute((16,), lambda i: te.if_then_else(i < 8, a[i], a[i - 8]))]), 1) == {}
    assert parts(te.create_prim_func([a, te.compute((8,), lambda i: a[i])]), 1) == {0: 0}

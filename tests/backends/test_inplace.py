"""Which kernels may overwrite an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tvm import s_tir, te, tirx
from tvm.script import tirx as T

from tvmopt.backends.inplace import overwritable


def binary(index: Callable[[Any, Any], Any]) -> tirx.PrimFunc:
    """a [4, 64], b [4, 64] -> b - a at ``index``."""
    a, b = (te.placeholder((4, 64), "int8", name=name) for name in "ab")
    return te.create_prim_func([a, b, te.compute((4, 64), lambda i, j: b[i, j] - a[index(i, j)], name="y")])


def table(size: int = 256) -> tirx.PrimFunc:
    """x int8 [4, 64], table uint8 -> table[x + 128]: another dtype of the same width."""
    x = te.placeholder((4, 64), "int8", name="x")
    t = te.placeholder((size,), "uint8", name="t")
    y = te.compute((4, 64), lambda i, j: t[x[i, j].astype("int32") + 128], name="y")
    return te.create_prim_func([x, t, y])


def test_elementwise() -> None:
    assert overwritable(binary(lambda i, j: (i, j)), 2) == {(0, 0), (1, 0)}
    assert overwritable(table(), 2) == {(0, 0)}


@pytest.mark.parametrize("index", [lambda i, j: (i, 63 - j), lambda i, j: (i, 0), lambda i, j: (3 - i, j)])
def test_operand_read_elsewhere(index: Callable[[Any, Any], Any]) -> None:
    assert overwritable(binary(index), 2) == {(1, 0)}


def test_other_width() -> None:
    x = te.placeholder((8,), "float32", name="x")
    assert overwritable(te.create_prim_func([x, te.compute((8,), lambda i: x[i].astype("int8"))]), 1) == set()


def test_reduction() -> None:
    x = te.placeholder((8, 8), "int32", name="x")
    k = te.reduce_axis((0, 8))
    y = te.compute((8, 8), lambda i, j: te.sum(x[i, j] * k, axis=k), name="y")
    assert overwritable(te.create_prim_func([x, y]), 1) == set(), "reads x after the first store"


@pytest.mark.parametrize("factor", [16, 24])
def test_scheduled(factor: int) -> None:
    """Fused, split (evenly or with a predicate), parallel and vectorized loops still store every element once."""
    sch = s_tir.Schedule(table())
    loop = sch.fuse(*sch.get_loops(sch.get_sblock("y")))
    outer, inner = sch.split(loop, [None, factor])
    sch.parallel(outer)
    sch.vectorize(inner)
    assert overwritable(sch.mod["main"], 2) == {(0, 0)}


def test_recomputed_elements() -> None:
    """A tail that overlaps the tile before it stores elements 6..9 twice."""

    @T.prim_func(s_tir=True)
    def overlapping(x: T.Buffer((16,), "int32"), y: T.Buffer((16,), "int32")):
        for tile, i in T.grid(2, 10):
            with T.sblock("y"):
                v = T.axis.spatial(16, tile * 6 + i)
                y[v] = x[v] + 1

    assert overwritable(overlapping, 1) == set()


def test_address_taken() -> None:
    @T.prim_func(s_tir=True)
    def opaque(x: T.Buffer((8,), "int32"), y: T.Buffer((8,), "int32")):
        for i in range(8):
            with T.sblock("y"):
                v = T.axis.spatial(8, i)
                y[v] = T.call_extern("int32", "f", T.address_of(x[v]))

    assert overwritable(opaque, 1) == set()


def test_matched_buffer() -> None:
    """What a tensor intrinsic does with a part of a buffer is not looked into."""

    @T.prim_func(s_tir=True)
    def matched(x: T.Buffer((8,), "int32"), y: T.Buffer((8,), "int32")):
        for i in range(8):
            with T.sblock("y"):
                v = T.axis.spatial(8, i)
                part = T.match_buffer(x[v : v + 1], (1,), "int32", offset_factor=1)
                y[v] = part[0] + 1

    assert overwritable(matched, 1) == set()


def test_one_element_along_an_axis() -> None:
    """Its index is 0, or the block's variable: the same."""
    a, b = (te.placeholder((1, 64), "int8", name=name) for name in "ab")
    y = te.compute((1, 64), lambda i, j: a[0, j] + b[i, j], name="y")
    assert overwritable(te.create_prim_func([a, b, y]), 2) == {(0, 0), (1, 0)}


def test_input_copied_first() -> None:
    """Nothing of x is needed when the first element of y is stored."""
    x = te.placeholder((8,), "int32", name="x")
    padded = te.compute((10,), lambda i: te.if_then_else(te.all(i >= 1, i < 9), x[i - 1], 0), name="padded")
    y = te.compute((8,), lambda i: padded[i] + padded[i + 2], name="y")
    assert overwritable(te.create_prim_func([x, y]), 1) == {(0, 0)}
    kept = te.compute((8,), lambda i: padded[i] + x[7 - i], name="y")
    assert overwritable(te.create_prim_func([x, kept]), 1) == set(), "x is read again where y is stored"
    sch = s_tir.Schedule(te.create_prim_func([x, y]))
    outer, _ = sch.split(sch.get_loops(sch.get_sblock("y"))[0], [4, 2])
    sch.compute_at(sch.get_sblock("padded"), outer)
    assert overwritable(sch.mod["main"], 1) == set(), "the copy is made piece by piece"

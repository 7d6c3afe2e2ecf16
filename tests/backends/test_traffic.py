"""Bytes that a kernel moves."""

from __future__ import annotations

from tvm import te

from tvmopt import target as targets
from tvmopt.backends import kernels


def test_every_time_that_an_element_is_used() -> None:
    """a [8, 16] x b [16] int16, in a serial loop: every element of a once, of b 8 times."""
    a, b = te.placeholder((8, 16), "int16", name="a"), te.placeholder((16,), "int16", name="b")
    k = te.reduce_axis((0, 16))
    y = te.compute((8,), lambda i: te.sum(a[i, k].astype("int32") * b[k].astype("int32"), axis=k), name="y")
    host = targets.get("x86/generic")
    made = kernels.lower({"f": (te.create_prim_func([a, b, y]), {})}, host, stack_bytes=64, threads=1)
    assert made.traffic["f"][:2] == (8 * 16 * 2, 8 * 16 * 2)
    assert made.traffic["f"][2] >= 8 * 4


def test_vectors_and_scratch() -> None:
    x = te.placeholder((64,), "float32", name="x")
    copy = te.compute((64,), lambda i: x[63 - i], name="copy")
    func = te.create_prim_func([x, te.compute((64,), lambda i: copy[i] + 1.0, name="y")])
    made = kernels.lower({"f": (func, {})}, targets.get("x86/generic"), stack_bytes=64, threads=1)
    assert made.scratch["f"] == (256,)
    assert made.traffic["f"] == (256, 256, 512), "x, y, and the copy, which is written and read"

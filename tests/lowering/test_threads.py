"""Which functions get several threads."""

from __future__ import annotations

import math

import tvm
from tvm import te, tirx

from tests.tuning import kernels
from tvmopt import target as targets
from tvmopt.lowering.threads import ELEMENT, WORTH, cycles, grant
from tvmopt.tuning.workload import digest

TARGET = targets.get("x86/cascadelake")


def doubled(*shape: int | tirx.Var) -> tirx.PrimFunc:
    x = te.placeholder(shape, "float32", "x")
    return te.create_prim_func([x, te.compute(shape, lambda *i: x(*i) + x(*i), "y")])


def granted(func: tirx.PrimFunc, threads: int) -> int:
    return int(grant(tvm.IRModule({"f": func}), TARGET, threads)["f"].attrs["tvmopt.threads"])


def test_cycles_of_elements() -> None:
    assert cycles(doubled(3, 64), TARGET) == 3 * ELEMENT
    assert cycles(doubled(3, 64), targets.get("arm/cortex-a53")) == 4 * 3 * ELEMENT  # vectors of 16 bytes
    assert cycles(doubled(tirx.Var("n", "int64")), TARGET) == math.inf


def test_cycles_of_products() -> None:
    """24 inputs, 40 outputs in 3 vectors of 16, which are also scaled, stored and cut to what there is."""
    found = cycles(kernels.convolution(TARGET, size=8, kernel=1, padding=0).func, TARGET)
    products = 8 * 8 * 24 * 3 * 16 / 64
    assert products + ELEMENT * 8 * 8 * 40 / 64 <= found <= products + ELEMENT * 8 * 8 * 2 * 3 * 16 / 64


def test_only_large_functions_get_several() -> None:
    elements = WORTH * TARGET.vector_bytes // ELEMENT
    assert granted(doubled(elements), 4) == 4
    assert granted(doubled(elements - 64), 4) == 1
    assert granted(doubled(elements), 1) == 1


def test_small_functions_share_records_of_one_thread() -> None:
    small, large = (
        {digest(grant(tvm.IRModule({"f": doubled(size)}), TARGET, threads)["f"]) for threads in (1, 8)}
        for size in (64, 10**6)
    )
    assert len(small) == 1
    assert len(large) == 2

"""Kernels of dp4a: exact, thread by thread; and made of the instruction."""

from __future__ import annotations

import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler

from .convolutions import ACTIVATIONS, CASES, matmul
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_75")


@pytest.mark.parametrize("name", ["3x3", "strided 1x1", "groups", "one row", "to float"])
def test_exact(name):
    Case(*CASES[name], TARGET).check()


@pytest.mark.parametrize("name", ["scores", "one factor for several batches"])
def test_products_of_activations(name):
    case = Case(*ACTIVATIONS[name], TARGET)
    assert "tvmopt_dp4a_u8" in case.func.script()
    case.check()


def test_tiles_are_exact():
    case = Case(*matmul(65, 64, 40), TARGET)
    found = cuts(case, "cuda_dp4a")
    assert len(found) == 3 * 2 * 4 // 3
    for func in found:
        case.check(func)


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_100"])
def test_instructions(arch):
    code = compiler.compile(source({"kernel": Case(*CASES["3x3"], TARGET).func}, TARGET), arch)
    assert b"dp4a.u32.s32" in code.ptx
    assert (b"cp.async.cg" in code.ptx) == (arch != "sm_75")
    (usage,) = code.usage.values()
    assert usage.spilled == 0

"""Tensor-core kernels: exact, thread by thread; and made of the instructions they should be made of."""

from __future__ import annotations

import re

import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler

from .convolutions import CASES, matmul
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")


@pytest.mark.parametrize("name", CASES)
def test_exact(name):
    Case(*CASES[name], TARGET).check()


def test_tiles_are_exact():
    case = Case(*matmul(70, 96, 70), TARGET)
    found = cuts(case, "cuda_mma")
    assert len(found) == 3 * 3
    for func in found:
        case.check(func)


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100"])
def test_instructions(arch):
    target = targets.get(f"cuda/{arch}")
    functions = {f"kernel{i}": Case(*CASES[name], target).func for i, name in enumerate(("3x3", "1x1", "many rows"))}
    code = compiler.compile(source(functions, target), arch)
    _, *kernels = code.ptx.split(b".visible .entry")
    assert len(kernels) == len(functions)
    for kernel in kernels:
        assert b"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32" in kernel
        assert b"ldmatrix.sync.aligned.m8n8.x4" in kernel
        assert len(re.findall(rb"cp\.async\.cg\.shared\.global", kernel)) >= 2
        assert b"dp4a" not in kernel


def test_tiles_fit_a_multiprocessor():
    found = cuts(Case(*matmul(256, 256, 256), TARGET), "cuda_mma")
    functions = {f"kernel{i}": func for i, func in enumerate(found)}
    usage = compiler.compile(source(functions, TARGET), "sm_80").usage
    assert len(usage) == len(found)
    for name, kernel in usage.items():
        assert kernel.spilled == 0, name
        assert kernel.shared <= 48 * 1024, name
        assert kernel.registers <= 255, name

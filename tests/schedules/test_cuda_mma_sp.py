"""Kernels of 2:4 weights: exact, thread by thread; and made of the instructions they should be made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler
from tvmopt.lowering.schedule import apply

from .convolutions import PAIRS, in_pairs, matmul
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")


@pytest.mark.parametrize("name", PAIRS)
def test_exact(name):
    case = Case(*PAIRS[name], TARGET)
    assert "tvmopt_mma_sp" in case.func.script()
    case.check()


def test_every_tile_is_exact_and_fits():
    case = Case(*in_pairs(matmul(66, 128, 70)), TARGET)
    found = cuts(case, "cuda_mma_sp")
    assert len(found) == 3 * 3 * 3
    some = found[::4]  # 4 and 3 have no common divisor: every value of every decision
    for func in some:
        case.check(func)
    functions = {f"kernel{i}": func for i, func in enumerate(some)}
    for name, kernel in compiler.compile(source(functions, TARGET), "sm_80").usage.items():
        assert kernel.spilled == 0, name
        assert kernel.shared <= 48 * 1024, name


def test_groups_of_channels_read_different_inputs():
    """No tile may have channels of two groups."""
    case = Case(*PAIRS["groups"], TARGET)
    for func in cuts(case, "cuda_mma_sp")[::2]:
        case.check(func)


def test_weights_that_are_no_pairs():
    region, inputs = PAIRS["many rows"]
    weight = region.weight.copy()
    weight[0:3, 0] = 1
    case = Case(replace(region, weight=weight), inputs, TARGET)
    assert apply("cuda_mma_sp", case.kernel.func, TARGET) is None
    assert [array.shape for array in case.arguments] == [(300, 192), (5, 6, 32, 32), (136,), (136,)]


def test_bytes_of_weights():
    """Half the weights and a quarter of a byte each to tell where they were."""
    region, inputs = in_pairs(matmul(8, 256, 64))
    case = Case(region, inputs, TARGET)
    weights = sum(np.asarray(array).nbytes for array in case.kernel.constants[:2])
    assert weights == region.weight.size * 5 // 8


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100"])
def test_instructions(arch):
    target = targets.get(f"cuda/{arch}")
    functions = {f"kernel{i}": Case(*PAIRS[name], target).func for i, name in enumerate(("3x3", "many rows"))}
    code = compiler.compile(source(functions, target), arch)
    _, *kernels = code.ptx.split(b".visible .entry")
    assert len(kernels) == len(functions)
    for kernel in kernels:
        assert b"mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.u8.s32" in kernel
        assert b"ldmatrix.sync.aligned.m8n8.x4" in kernel
        assert b"cp.async.cg.shared.global" in kernel
        assert b"mma.sync" not in kernel


def test_turing_has_no_such_instruction():
    case = Case(*PAIRS["many rows"], targets.get("cuda/sm_75"))
    assert "tvmopt_dp4a" in case.func.script()

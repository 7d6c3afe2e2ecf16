"""Kernels of 2:4 weights: exact, thread by thread; and made of the instructions they should be made of."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler
from tvmopt.lowering import sparse
from tvmopt.lowering.kernel import Kernel
from tvmopt.lowering.schedule import apply
from tvmopt.lowering.sparse import pairs

from .convolutions import PAIRS, in_pairs, matmul
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")


def in_two_of_four(*args) -> Kernel | None:
    """What lowers a region to pairs wherever they fit, whatever they cost."""
    with mock.patch.object(pairs, "cycles", lambda pixels, weight, groups, pairs, _: 0.0 if pairs else 1.0):
        return sparse.lower(*args).kernel


@pytest.mark.parametrize("name", PAIRS)
def test_exact(name):
    case = Case(*PAIRS[name], TARGET, in_two_of_four)
    assert "tvmopt_mma_sp" in case.func.script()
    case.check()


def test_tiles_are_exact_and_fit():
    case = Case(*in_pairs(matmul(66, 128, 130)), TARGET, in_two_of_four)
    found = cuts(case, "cuda_mma_sp")
    assert len(found) == -(-3 * 4 * 2 * 4 // 3)
    for func in found:
        case.check(func)
    functions = {f"kernel{i}": func for i, func in enumerate(found[::6])}
    for name, kernel in compiler.compile(source(functions, TARGET), "sm_80").usage.items():
        assert kernel.spilled == 0, name


def test_groups_of_channels_read_different_inputs():
    """No tile may have channels of two groups."""
    case = Case(*PAIRS["groups"], TARGET, in_two_of_four)
    for func in cuts(case, "cuda_mma_sp"):
        case.check(func)


def test_dense_weights_have_another_rule():
    assert apply("cuda_mma_sp", Case(*PAIRS["many rows"], TARGET).kernel.func, TARGET) is None


def test_bytes_of_weights():
    """Half the weights and a quarter of a byte each to tell where they were."""
    region, inputs = in_pairs(matmul(8, 256, 64))
    case = Case(region, inputs, TARGET, in_two_of_four)
    weights = sum(np.asarray(array).nbytes for array in case.kernel.constants[:2])
    assert weights == region.weight.size * 5 // 8


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
def test_instructions(arch):
    target = targets.get(f"cuda/{arch}")
    functions = {
        f"kernel{i}": Case(*PAIRS[name], target, in_two_of_four).func for i, name in enumerate(("3x3", "many rows"))
    }
    code = compiler.compile(source(functions, target), arch)
    _, *kernels = code.ptx.split(b".visible .entry")
    assert len(kernels) == len(functions)
    for kernel in kernels:
        assert b"mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.u8.s32" in kernel
        assert b"ldmatrix.sync.aligned.m8n8.x4" in kernel
        assert b"cp.async.cg.shared.global" in kernel
        assert b"mma.sync" not in kernel

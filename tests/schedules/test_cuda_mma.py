"""Tensor-core kernels: exact, thread by thread; and made of the instructions they should be made of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler
from tvmopt.lowering.schedule import apply

from .convolutions import ACTIVATIONS, CASES, activations, matmul
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")


@pytest.mark.parametrize("name", CASES)
def test_exact(name):
    Case(*CASES[name], TARGET).check()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_products_of_activations(name):
    case = Case(*ACTIVATIONS[name], TARGET)
    assert "tvmopt_mma_u8" in case.func.script()
    case.check()


@pytest.mark.parametrize("key", [(0, 3, 1, 2), (3, 2, 1, 0)])
def test_heads_and_keys_are_read_where_they_lie(key):
    """Queries and keys of [tokens, heads, width]: nothing is transposed in memory."""
    case = Case(*activations((2, 3, 40, 64), (2, 3, 64, 72), (130, 121)), TARGET, orders=[(0, 2, 1, 3), key])
    assert case.kernel.shapes[0] == (2, 40, 3, 64)
    assert case.func.script().count('"tvmopt_copy16"') == (4 if key == (0, 3, 1, 2) else 2)
    case.check()


def test_sums_of_rows_and_columns_are_of_every_tile():
    """The largest tiles sum in the most registers."""
    case = Case(*activations((2, 130, 64), (2, 64, 128), (3, 5)), TARGET)
    for rows, columns in ((128, 128), (128, 64), (64, 32), (32, 128)):
        case.check(apply("cuda_mma", case.kernel.func, TARGET, [("rows", rows), ("columns", columns)]))


@pytest.mark.parametrize("splits", [2, 4, 8])
@pytest.mark.parametrize(
    "case", [matmul(5, 2060, 36), matmul(3, 2048, 33, to_float=True)], ids=["to bytes", "to float"]
)
def test_split_reductions_are_exact(case, splits):
    case = Case(*case, TARGET)
    func = apply("cuda_mma", case.kernel.func, TARGET, [("splits", splits), ("columns", 32)])
    result, (products, _) = case.run(func)
    np.testing.assert_array_equal(result, case.expected)
    assert products.count // products.threads == splits * 2


def test_no_bank_is_asked_twice():
    for case in (matmul(70, 96, 70), matmul(40, 32, 40)):
        case = Case(*case, TARGET)
        for func in cuts(case, "cuda_mma"):
            _, grids = case.run(func)
            assert sum(grid.conflicts for grid in grids) == 0


def test_tiles_are_exact():
    case = Case(*matmul(70, 96, 70), TARGET)
    found = cuts(case, "cuda_mma")
    assert len(found) == 3 * 3 * 4 // 3
    for func in found:
        case.check(func)


@pytest.mark.parametrize(("steps", "stages", "kib"), [(2, 3, 72), (2, 8, 96), (4, 2, 96), (4, 4, 144)])
def test_tiles_of_more_shared_memory_than_a_block_has_unasked(steps, stages, kib):
    case = Case(*matmul(100, 288, 200), TARGET)
    decisions = [("rows", 128), ("columns", 256), ("steps", steps), ("stages", stages), ("splits", 1)]
    func = apply("cuda_mma", case.kernel.func, TARGET, decisions)
    result, (grid,) = case.run(func)
    np.testing.assert_array_equal(result, case.expected)
    assert (grid.threads, grid.shared, grid.conflicts) == (256, kib * 1024, 0)


def test_a_gpu_of_less_shared_memory_has_smaller_tiles():
    for name in ("sm_86", "sm_90"):
        target = targets.get(f"cuda/{name}")
        _, (grid,) = Case(*matmul(128, 512, 128), target).run()
        assert grid.shared <= target.cuda.shared_kib * 1024


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
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


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_instructions_of_attention(arch):
    """One kernel: no sums of rows, columns or products go through memory."""
    target = targets.get(f"cuda/{arch}")
    code = compiler.compile(source({"kernel": Case(*ACTIVATIONS["scores"], target).func}, target), arch)
    assert code.ptx.count(b".visible .entry") == 1
    assert b"mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32" in code.ptx
    assert b"dp4a.u32.u32" in code.ptx
    assert [usage.spilled for usage in code.usage.values()] == [0]


def test_tiles_fit_a_multiprocessor():
    found = cuts(Case(*matmul(256, 256, 256), TARGET), "cuda_mma")
    functions = {f"kernel{i}": func for i, func in enumerate(found[::3])}
    usage = compiler.compile(source(functions, TARGET), "sm_80").usage
    assert len(usage) == len(functions)
    for name, kernel in usage.items():
        assert kernel.spilled == 0, name
        assert kernel.registers <= 255, name

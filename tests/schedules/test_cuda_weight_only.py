"""Weights of few bits on GPUs: right thread by thread, within what the order of float sums may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.lowering.test_weight_only import assert_close, cases
from tvmopt import target as targets
from tvmopt.backends.cuda import compiler
from tvmopt.quant.regions import WeightOnly

from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")


def weights(length: int, columns: int, blocks: int, middle: bool = True) -> WeightOnly:
    """Four bits a weight; zero points in the middle of their range, or anywhere."""
    rng = np.random.default_rng(0)
    zeros = np.full((blocks, columns), 8) if middle else rng.integers(0, 16, (blocks, columns))
    scale = rng.uniform(0.01, 0.1, (blocks, columns)).astype(np.float32)
    weight = rng.integers(0, 16, (length, columns)).astype(np.uint8)
    return WeightOnly(weight, scale, zeros.astype(np.uint8), np.linspace(-1, 1, columns, dtype=np.float32))


def inputs(rows: int, length: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(rows, length)).astype(np.float32)


@given(case=cases())
@settings(max_examples=20, deadline=None)
def test_random_regions(case):
    region, x = case
    result, _ = Case(region, (x,), TARGET).run()
    assert_close(region, x, result)


@pytest.mark.parametrize("rows", [1, 9])
def test_any_decisions(rows):
    region, x = weights(256, 70, 8, middle=False), inputs(rows, 256)
    case = Case(region, (x,), TARGET)
    found = cuts(case, "cuda_weight_only")
    assert found
    for func in found:
        result, _ = case.run(func)
        assert_close(region, x, result)


def test_warps_share_a_column_of_one_scale():
    region, x = weights(1024, 64, 1), inputs(1, 1024)
    result, (grid,) = Case(region, (x,), TARGET).run()
    assert grid.threads == 8 * 32
    assert_close(region, x, result)


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100"])
def test_instructions(arch):
    """One kernel, which reads several floats and a word of weights at once and fuses products and sums."""
    target = targets.get(f"cuda/{arch}")
    func = Case(weights(768, 256, 24), (inputs(4, 768),), target).func
    code = compiler.compile(source({"kernel": func}, target), arch)
    (usage,) = code.usage.values()
    assert usage.spilled == 0
    assert code.ptx.count(b"fma.rn.f32") >= 4 * 8
    assert b"ld.global.nc.v4" in code.ptx
    assert b"mul.f32" not in code.ptx.split(b"fma.rn.f32")[1]

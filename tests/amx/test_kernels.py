"""Contractions by tiles: no result differs from the reference's, whatever the shape and the decisions."""

from __future__ import annotations

import random
import re
from unittest import mock

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvmopt.schedules import _amx_tile

from benchmarks import amx
from tests.lowering.harness import call, check, store
from tests.lowering.strategies import activation_matmuls, convolutions, matmuls, outputs_for, params, tensor, weights
from tests.lowering.test_residual import residuals
from tests.schedules.convolutions import CASES, conv, matmul
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, MatMul, Region, Residual
from tvmopt.target import Target
from tvmopt.tuning import extract, space

from .conftest import Cpu, Emulator

pytestmark = [pytest.mark.hardware("AVX512-VNNI"), pytest.mark.usefixtures("tiles")]

VECTORS = {"one row", "one step", "strided 1x1", "many small groups"}
"""Cases that are too small for tiles."""

several = settings(max_examples=20, deadline=None)


always = mock.patch.object(_amx_tile, "MARGIN", np.inf)
"""Tiles for all contractions, whatever they cost."""


@always
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_cases(tiles: Emulator | Cpu, target: Target, name: str, threads: int) -> None:
    region, inputs = CASES[name]
    with tiles.at_work():
        check(region, *inputs, target=target, threads=threads)


@st.composite
def large_convolutions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
    """What tiles are for: many channels, places in rows of any length."""
    kernel, strides, dilations = (draw(st.tuples(*[st.integers(1, most)] * 2)) for most in (3, 2, 2))
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 40))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    axes = zip((rows, columns), kernel, strides, dilations, padding[:2], padding[2:], strict=True)
    size = tuple(max(1, (n - 1) * s + (k - 1) * d + 1 - b - e) for n, k, s, d, b, e in axes)
    channels, outputs = draw(st.sampled_from([8, 21, 48, 80])), draw(st.sampled_from([16, 33, 48, 80, 128]))
    x = draw(params())
    weight, w = draw(weights((outputs, channels, *kernel), 0))
    y = draw(outputs_for(x, w, weight.size // outputs))
    clamp = (0, 0) if y is None else (np.iinfo(y.dtype).min, np.iinfo(y.dtype).max)
    bias = np.random.default_rng(2).integers(-(2**12), 2**12, outputs).astype(np.int32)
    region = Conv(x, w, weight, bias, y, clamp, strides, padding, dilations)
    return region, tensor((draw(st.integers(1, 2)), channels, *size), x.dtype)


@always
@given(case=large_convolutions() | convolutions(), shifted=st.booleans(), threads=st.integers(1, 2))
@several
def test_random_convolutions(target: Target, case: tuple[Conv, np.ndarray], shifted: bool, threads: int) -> None:
    region, x = case
    check(region, x, target=target, shifted=shifted, threads=threads)


@always
@given(case=matmuls() | activation_matmuls(), threads=st.integers(1, 2))
@several
def test_random_products(target: Target, case: tuple[MatMul, tuple[np.ndarray, ...]], threads: int) -> None:
    region, inputs = case
    check(region, *inputs, target=target, threads=threads)


@always
@given(case=residuals(), threads=st.integers(1, 2))
@several
def test_random_residuals(target: Target, case: tuple[Residual, tuple[np.ndarray, ...]], threads: int) -> None:
    region, inputs = case
    check(region, *inputs, target=target, threads=threads)


@always
@pytest.mark.parametrize("batch", [((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((2, 3), ())])
def test_batches(tiles: Emulator | Cpu, target: Target, batch: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Products of activations, of which one is the same for several of the other."""
    a, b, y = (QParams.per_tensor(scale, zero, "uint8") for scale, zero in ((0.1, 117), (0.1, 120), (20.0, 100)))
    x, other = tensor((*batch[0], 37, 72), "uint8"), tensor((*batch[1], 72, 48), "uint8", seed=1)
    with tiles.at_work():
        check(MatMul(a, b, None, None, y, (3, 250)), x, other, target=target, threads=1)


@always
def test_sums_wrap(target: Target) -> None:
    """Sums beyond int32, as vectors wrap them."""
    x, w = QParams.per_tensor(1.0, 0, "uint8"), QParams.per_tensor(1.0, 0, "int8")
    weight = np.full((2**14, 16), [[-128, 127] * 8], np.int8)
    bias = np.full(16, [-(2**31), 2**31 - 1] * 8, np.int32)
    region = MatMul(x, w, weight, bias, None, (0, 0))
    check(region, np.full((64, 2**14), 255, np.uint8), target=target, threads=1)


@pytest.mark.parametrize("name", CASES)
def test_choice(target: Target, name: str) -> None:
    region, inputs = CASES[name]
    task = extract.of(name, lowered(region, inputs, target)[0].func, target)
    assert task is not None
    assert task.rule == ("x86_vnni" if name in VECTORS else "x86_amx")


SOME = {
    "few places": conv(64, 48, 3, 3),
    "rows of 7": conv(64, 48, 3, 7),
    "rows of 18": conv(40, 64, 3, 18),
    "1x1": conv(64, 96, 1, 9),
    "product": matmul(100, 192, 80),
}


@pytest.mark.parametrize("name", SOME)
def test_any_decision(target: Target, name: str) -> None:
    region, inputs = SOME[name]
    kernel, stored, expected = lowered(region, inputs, target)
    task = extract.of(name, kernel.func, target)
    assert task.rule == "x86_amx"
    rng = random.Random(0)
    for decisions in [space.default(task), *(space.sample(task, rng) for _ in range(6))]:
        func = space.apply(task, decisions)
        built = tvm.tirx.build(func.with_attr("global_symbol", "main"), target=target.tvm())
        np.testing.assert_array_equal(call(built, kernel, stored, expected.dtype), expected)


@pytest.mark.parametrize("name", SOME)
def test_code(target: Target, name: str) -> None:
    """Tiles are configured once; sums are stored, and never loaded."""
    region, inputs = SOME[name]
    kernel, _, _ = lowered(region, inputs, target)
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    code = tvm.tirx.build(schedule(mod, target), target=target.tvm()).inspect_source("asm")
    assert len(re.findall(r"\bldtilecfg\b", code)) == 1
    sums, loaded = (
        set(re.findall(rf"\b{instruction}\b.*(tmm\d)$", code, flags=re.M)) for instruction in ("tdpbusd", "tileloadd")
    )
    stored = set(re.findall(r"\btilestored\s+%(tmm\d)", code))
    assert sums
    assert not sums & loaded
    assert stored == sums
    assert "vpdpbusd" not in code


@pytest.mark.parametrize("name", SOME)
def test_instructions_are_counted(emulator: Emulator, target: Target, name: str) -> None:
    """The estimate's count of products is what runs."""
    region, inputs = SOME[name]
    task = extract.of(name, lowered(region, inputs, target)[0].func, target)
    before = emulator.products()
    check(region, *inputs, target=target, threads=1)
    assert emulator.products() - before == amx.count(task).tdp


def lowered(
    region: Region, inputs: tuple[np.ndarray, ...], target: Target
) -> tuple[Kernel, list[np.ndarray], np.ndarray]:
    """The kernel, its inputs as they are stored, and what it must give."""
    expected = reference.run(region, *inputs)
    held = wants(region, tuple(Stored(x.shape, x.dtype.name) for x in inputs), target)
    kernel = lower(region, held, expected.shape, target)
    assert kernel is not None
    return kernel, [store(x, h) for x, h in zip(inputs, held, strict=True)], expected

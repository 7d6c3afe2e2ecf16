"""Expressions that every kernel is made of, on every instruction set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import te

from tvmopt import target as targets
from tvmopt.lowering.arith import Expr, fma, rounded, saturate
from tvmopt.quant import reference

from .harness import RUNNABLE


def compute(target: str, dtype: str, element: Callable[..., Expr], *inputs: np.ndarray) -> np.ndarray:
    """``element`` of every position of equally long inputs."""
    tensors = [te.placeholder(x.shape, str(x.dtype)) for x in inputs]
    result = te.compute(inputs[0].shape, lambda i: element(*(t[i] for t in tensors)))
    library = tvm.tirx.build(te.create_prim_func([*tensors, result]), target=targets.get(target).tvm())
    out = tvm.runtime.empty(inputs[0].shape, dtype)
    library["main"](*map(tvm.runtime.tensor, inputs), out)
    return out.numpy()


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize(("dtype", "zero_point", "lo", "hi"), [("uint8", 3, 0, 255), ("int8", -7, -20, 100)])
def test_saturate(target, dtype, zero_point, lo, hi):
    ties = np.arange(-700, 701, dtype=np.float32) / 2
    near = np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))
    ends = np.float32([np.inf, -np.inf, 3e38, -3e38, 2**31, -(2**31), 1e-45, -0.0])
    x = np.concatenate([ties, *near, ends])
    got = compute(target, dtype, lambda v: saturate(v, zero_point, lo, hi, dtype), x)
    np.testing.assert_array_equal(got, np.clip(np.rint(x) + zero_point, lo, hi).astype(dtype))
    assert compute(target, dtype, lambda v: saturate(v, zero_point, lo, hi, dtype), np.float32([np.nan]))[0] == lo


@pytest.mark.parametrize("target", RUNNABLE)
def test_fma_rounds_once_and_rounded_twice(target):
    rng = np.random.default_rng(0)
    x = rng.integers(-255, 256, 100_000).astype(np.float32)
    factor, addend = rng.uniform(0.001, 3, x.size).astype(np.float32), rng.normal(0, 300, x.size).astype(np.float32)
    once, twice = reference.fma(x, factor, addend), x * factor + addend
    assert (once != twice).any()
    got = compute(target, "float32", lambda a, b, c: fma(a, b, c, targets.get(target)), x, factor, addend)
    np.testing.assert_array_equal(got, once)
    got = compute(target, "float32", lambda a, b, c: rounded(a * b) + c, x, factor, addend)
    np.testing.assert_array_equal(got, twice)

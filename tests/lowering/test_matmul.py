from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import MatMul

from .harness import RUNNABLE, check
from .strategies import activation_matmuls, matmuls, tensor


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=matmuls() | activation_matmuls(), shifted=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_random_regions(target, case, shifted, threads):
    region, inputs = case
    check(region, *inputs, target=targets.get(target), shifted=shifted and region.a is not None, threads=threads)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_largest_sums(target, dtype):
    """Every product and every partial sum at its extreme, and sums that wrap around in 32 bits."""
    info = np.iinfo(dtype)
    lengths = 2**16 + 4  # 255 * 255 * 2**16 exceeds 2**31
    x = np.full((2, lengths), [[info.min], [info.max]], dtype)
    weight = np.full((lengths, 3), [[info.min, info.max, info.min]], dtype)
    a = QParams.per_tensor(1.0, info.max, dtype)
    for zero_point in (info.min, info.max, 0 if dtype == "int8" else 128):
        b = QParams.per_tensor(1.0, zero_point, dtype)
        region = MatMul(a, b, weight, np.array([0, 2**31 - 1, -(2**31)], np.int32), None, (0, 0))
        check(region, x, target=targets.get(target))
        check(replace(region, weight=None, bias=None), x, weight, target=targets.get(target))


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("shape", [(4, 64, 4096), (3, 64, 1601), (5, 36, 1000)])
def test_many_columns(target, shape):
    """More than a tile has, and no multiple of it."""
    rows, length, columns = shape
    a, y = QParams.per_tensor(0.5, 3, "uint8"), QParams.per_tensor(900.0, 100, "uint8")
    b = QParams(np.linspace(0.1, 0.9, columns).astype(np.float32), np.zeros(columns, np.int8), 1)
    region = MatMul(a, b, tensor((length, columns), "int8"), None, y, (0, 255))
    check(region, tensor((rows, length), "uint8"), target=targets.get(target), threads=1)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("dtypes", [("uint8", "uint8"), ("int8", "int8"), ("uint8", "int8")])
@pytest.mark.parametrize("zero_points", [(0, 128), (117, 120), (255, 0)])
def test_activations_that_fill_vectors(target, dtypes, zero_points):
    """Rows are interleaved by instructions, and the product of zero points is part of the sum."""
    a, b = (
        QParams.per_tensor(0.1, zero_point - (0 if dtype == "uint8" else 128), dtype)
        for dtype, zero_point in zip(dtypes, zero_points, strict=True)
    )
    region = MatMul(a, b, None, None, QParams.per_tensor(20.0, 100, "uint8"), (3, 250))
    x, y = tensor((2, 1, 7, 12), dtypes[0]), tensor((1, 3, 12, 48), dtypes[1], seed=1)
    check(region, x, y, target=targets.get(target), threads=2)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 36, 100), (1, 13, 17), (2, 256, 640), (3, 64, 64)])
@pytest.mark.parametrize("zero_point", [0, 8])
def test_weights_of_four_bits(target, shape, zero_point):
    """Two in a byte where rows are few, all 16 values, with a rest of the reduction and of the columns."""
    rows, length, columns = shape
    dtype = "uint8" if zero_point else "int8"
    weight = np.resize(np.arange(16) - 8 + zero_point, (columns, length)).T.astype(dtype)
    b = QParams(np.linspace(0.1, 0.9, columns).astype(np.float32), np.full(columns, zero_point, dtype), 1)
    for y in (None, QParams.per_tensor(90.0, 100, "uint8")):
        region = MatMul(QParams.per_tensor(0.5, 3, "int8"), b, weight, None, y, (0, 0) if y is None else (0, 255))
        check(region, tensor((rows, length), "int8"), target=targets.get(target), threads=1)
    dynamic = replace(region, a=None, y=None, clamp=(0, 0))
    x = tensor((rows, length), "uint8")
    check(dynamic, x, np.float32(0.5), np.uint8(3), target=targets.get(target), threads=1)

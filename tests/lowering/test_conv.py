import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

from .harness import RUNNABLE, check
from .strategies import convolutions, tensor


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=convolutions(), shifted=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_random_regions(target, case, shifted, threads):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted, threads=threads)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0])
@pytest.mark.parametrize("bias", [0, 2**31 - 1])
def test_sums_beyond_the_output(target, scale, bias):
    """Sums that are beyond int32 after (or before) requantization saturate (or wrap) as the reference's do."""
    x, y = QParams.per_tensor(1.0, 3, "uint8"), QParams.per_tensor(scale, 100, "uint8")
    weight = tensor((32, 16, 1, 1), "int8")
    region = Conv(
        x,
        QParams.per_tensor(1.0, 0, "int8"),
        weight,
        np.full(32, bias, np.int32),
        y,
        (7, 200),
        (1, 1),
        (0,) * 4,
        (1, 1),
    )
    check(region, tensor((1, 16, 5, 5), "uint8"), target=targets.get(target), threads=1)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize(
    ("outputs", "width", "stride", "kernel"),
    [(8, 12, 2, 3), (8, 4, 4, 5), (4, 16, 2, 3), (8, 6, 2, 3), (4, 12, 1, 3), (1, 18, 3, 5), (6, 9, 2, 2)],
)
def test_few_outputs(target, outputs, width, stride, kernel):
    """Neighbouring pixels share a vector, each with its own scales, and with VNNI each with its own bytes."""
    x, y = QParams.per_tensor(0.5, 3, "uint8"), QParams.per_tensor(9.0, 100, "uint8")
    w = QParams(np.linspace(0.1, 1.9, outputs).astype(np.float32), np.arange(outputs, dtype=np.int8), 0)
    weight, bias = tensor((outputs, 3, kernel, kernel), "int8"), np.arange(outputs, dtype=np.int32) * 1000
    padding = (1, 1, 0, kernel - 2)
    region = Conv(x, w, weight, bias, y, (7, 200), (1, stride), padding, (1, 1))
    check(region, tensor((2, 3, 5, width * stride), "uint8"), target=targets.get(target), threads=1)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("outputs", "width"), [(16, 24), (16, 13), (32, 8), (32, 7), (48, 8)])
def test_whole_vectors_of_outputs(target, kernel, outputs, width):
    """Neighbouring pixels are made bytes together, where all their channels are in a tile."""
    x, y = QParams.per_tensor(0.5, 3, "int8"), QParams.per_tensor(9.0, -100, "int8")
    w = QParams(np.linspace(0.1, 1.9, outputs).astype(np.float32), np.arange(outputs, dtype=np.int8), 0)
    weight, bias = tensor((outputs, 8, kernel, kernel), "int8"), np.arange(outputs, dtype=np.int32) * 100
    region = Conv(x, w, weight, bias, y, (-90, 120), (1, 1), (kernel // 2,) * 4, (1, 1))
    check(region, tensor((2, 8, 3, width), "int8"), target=targets.get(target), threads=1)

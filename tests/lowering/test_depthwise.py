import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

from .harness import RUNNABLE, check
from .strategies import depthwise_convolutions, tensor


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=depthwise_convolutions(), shifted=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_random_regions(target, case, shifted, threads):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted, threads=threads)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize(
    ("channels", "width", "kernel"), [(8, 10, (3, 3)), (4, 12, (3, 1)), (2, 8, (5, 3)), (8, 9, (3, 3))]
)
def test_few_channels(target, channels, width, kernel):
    """Neighbouring pixels share a vector, if there are as many as fill it."""
    x, y = QParams.per_tensor(0.5, 3, "uint8"), QParams.per_tensor(9.0, 100, "uint8")
    w = QParams(np.linspace(0.1, 1.9, channels).astype(np.float32), np.arange(channels, dtype=np.int8), 0)
    weight, bias = tensor((channels, 1, *kernel), "int8"), np.arange(channels, dtype=np.int32) * 1000
    padding = (kernel[0] // 2, kernel[1] // 2) * 2
    region = Conv(x, w, weight, bias, y, (7, 200), (1, 1), padding, (1, 1), channels)
    check(region, tensor((2, channels, 7, width), "uint8"), target=targets.get(target), threads=1)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.lowering.reciprocal import reciprocal
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Quantize

from .harness import RUNNABLE, check


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("target", RUNNABLE)
@given(exponent=st.floats(-30, 30), zero_point=st.integers(-128, 127), seed=st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_floats_around_every_change(target, exponent, zero_point, seed):
    """All kernels, the compiled sum included, give what a division gives."""
    y = QParams.per_tensor(10.0**exponent, zero_point, "int8")
    middle = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * y.scale
    bits = middle.view(np.int32)[:, None] + np.arange(-8, 9, dtype=np.int32)
    rng = np.random.default_rng(seed)
    anything = rng.integers(0, 2**32, 4096, np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([bits.reshape(-1).view(np.float32), anything[~np.isnan(anything)]])
    check(Quantize(y), x, target=targets.get(target), threads=1)


@given(scale=st.floats(2.0**-100, 2.0**70, width=32))
def test_both_factors_keep_infinities(scale):
    factors = reciprocal(QParams.per_tensor(scale, 3, "uint8"))
    assert factors is not None
    high, low = factors
    assert high > 0 and low > 0
    assert abs(high.astype(np.float64) + low - 1 / np.float64(np.float32(scale))) <= 2.0**-46 / scale


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e38, 3e38])
def test_scales_whose_reciprocal_is_no_float(scale):
    assert reciprocal(QParams.per_tensor(scale, 0, "int8")) is None


def test_one_channel_that_differs_is_enough():
    assert reciprocal(QParams(np.array([0.1, 1e-40], np.float32), np.zeros(2, np.int8), 0)) is None

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Dequantize, Quantize

from .harness import check
from .strategies import params, tensor


def ties(y: QParams) -> np.ndarray:
    """Reals at, between and beyond the quantized values."""
    steps = np.arange(-600, 601, dtype=np.float32) / 2
    return np.concatenate([steps * y.scale, [np.inf, -np.inf, 3e38, -3e38, -0.0, 1e-40]]).astype(np.float32)


@pytest.mark.filterwarnings("ignore:overflow")
@given(y=params(), last=st.booleans())
@settings(max_examples=25, deadline=None)
def test_quantize(y, last):
    x = np.concatenate([ties(y), np.random.default_rng(0).normal(0, 40 * y.scale, 993).astype(np.float32)])
    check(Quantize(y), x.reshape(2, 11, 10, 10), last=last)


@given(x=params(), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_dequantize(x, last, shifted):
    check(Dequantize(x), tensor((1, 4, 10, 10), x.dtype), last=last, shifted=shifted, threads=1)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [0, 1, 3])
@pytest.mark.parametrize("last", [False, True])
def test_per_channel(dtype, axis, last):
    shape = (2, 3, 4, 5)
    rng = np.random.default_rng(axis)
    p = QParams(rng.uniform(0.01, 1, shape[axis]).astype(np.float32), tensor((shape[axis],), dtype), axis)
    check(Quantize(p), rng.normal(0, 20, shape).astype(np.float32), last=last)
    check(Dequantize(p), tensor(shape, dtype), last=last)

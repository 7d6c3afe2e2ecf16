"""Random quantization parameters and tensors that reach the edges of their range."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tvmopt.quant.params import QParams

dtypes = st.sampled_from(["int8", "uint8"])
scales = st.floats(2**-10, 2**3, width=32)


@st.composite
def params(draw: st.DrawFn, dtype: str | None = None) -> QParams:
    """Parameters of a tensor with one scale."""
    dtype = dtype or draw(dtypes)
    info = np.iinfo(dtype)
    return QParams.per_tensor(draw(scales), draw(st.integers(int(info.min), int(info.max))), dtype)


@st.composite
def clamps(draw: st.DrawFn, y: QParams) -> tuple[int, int]:
    """The whole range, what relu leaves of it, or any other part."""
    lo, hi = y.range
    whole, relu = st.just((lo, hi)), st.just((int(y.zero_point), hi))
    part = st.tuples(st.integers(lo, hi), st.integers(lo, hi)).map(lambda pair: (min(pair), max(pair)))
    return draw(whole | relu | part)


def tensor(shape: tuple[int, ...], dtype: str | np.dtype, seed: int = 0) -> np.ndarray:
    """A quantized tensor, uniform over its dtype's whole range, both ends included."""
    info = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)
    x.flat[:2] = (info.min, info.max)[: x.size]
    return x

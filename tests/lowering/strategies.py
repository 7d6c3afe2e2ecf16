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


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, QParams]:
    """A weight of either dtype, symmetric or not, per tensor or per channel of ``axis``."""
    dtype = draw(dtypes)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = (shape[axis],) if draw(st.booleans()) else ()
    middle = 0 if dtype == "int8" else 128
    zero_point = np.full(size, middle) if draw(st.booleans()) else rng.integers(middle - 128, middle + 128, size)
    scale = np.asarray(2.0 ** -rng.integers(6, 10, size) if draw(st.booleans()) else rng.uniform(0.001, 0.02, size))
    params = QParams(scale.astype(np.float32), np.asarray(zero_point, dtype), axis if size else None)
    return tensor(shape, dtype, 1), params


@st.composite
def outputs_for(draw: st.DrawFn, x: QParams, w: QParams, terms: int) -> QParams | None:
    """Parameters under which sums of so many products spread over the output's range, or none (float32)."""
    if draw(st.integers(0, 4)) == 0:
        return None
    y = draw(params())
    scale = float(x.scale) * float(w.scale.mean()) * 60 * max(terms, 1) ** 0.5
    exact = 2.0 ** np.round(np.log2(scale))  # where x and w have powers of two as well, ties are common
    return QParams(np.asarray(exact if draw(st.booleans()) else scale, np.float32), y.zero_point)

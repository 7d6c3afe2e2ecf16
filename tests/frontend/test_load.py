"""Whole models: MLPerf Tiny, computed in float as imported, against ONNX Runtime."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.runs import by_onnxruntime, by_tvm, feeds, model
from tvmopt import frontend
from tvmopt.errors import TvmoptError


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_mlperf_tiny(mlperf_tiny, name):
    path = mlperf_tiny[name]
    loaded = frontend.load(path)
    assert loaded.source == str(path)
    arrays = feeds(loaded)
    for spec, have, want in zip(
        loaded.outputs, by_tvm(loaded, arrays), by_onnxruntime(onnx.load(path), arrays), strict=True
    ):
        assert have.shape == want.shape == spec.shape
        # A rounding that falls the other way early on moves later ones: close, not equal.
        assert np.corrcoef(have.ravel(), want.ravel())[0, 1] > 0.999
        assert have.argmax() == want.argmax()


RNG = np.random.default_rng(0)
GOOD = [
    model(
        """g (uint8[1,4,9,9] x) => (uint8[1,6,5,5] y)
        <float xs = {0.02}, uint8 xz = {120}, float ys = {0.05}, uint8 yz = {90}> {
            y = QLinearConv<pads=[1,1,1,1], strides=[2,2]>(x, xs, xz, w, ws, wz, ys, yz, B)
        }""",
        {
            "w": RNG.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8),
            "ws": np.full(6, 0.01, np.float32),
            "wz": np.zeros(6, np.int8),
            "B": np.zeros(6, np.int32),
        },
    ).SerializeToString(),
    model(
        """g (float[2,3,8] x) => (float[2,3,5] y) {
            xq, xs, xz = DynamicQuantizeLinear(x)
            p = MatMulInteger(xq, w, xz)
            f = Cast<to=1>(p)
            s = Mul(xs, ws)
            t = Mul(f, s)
            u = com.microsoft.Gelu(t)
            k = Shape(u)
            r = Reshape(u, k)
            y = Softmax<axis=1>(r)
        }""",
        {"w": RNG.integers(-128, 128, (8, 5)).astype(np.int8), "ws": np.full(5, 0.01, np.float32)},
    ).SerializeToString(),
]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_refused_or_another_model(data):
    damaged = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        if data.draw(st.booleans()):
            damaged[position] = data.draw(st.integers(0, 255))
        else:
            del damaged[position]
    with contextlib.suppress(TvmoptError):
        frontend.load(bytes(damaged))

"""QLinearConv of both domains against ONNX Runtime."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model, names, ops


def _weights(rng, shape, dtype, per_channel):
    info = np.iinfo(dtype)
    count = shape[0] if per_channel else ()
    return {
        "w": rng.integers(info.min, info.max, shape, dtype, endpoint=True),
        "ws": (0.001 + 0.02 * rng.random(count)).astype(np.float32),
        "wz": rng.integers(info.min, info.max, count, dtype, endpoint=True)
        if dtype == "uint8"
        else np.zeros(count, dtype),
        "B": rng.integers(-1000, 1000, shape[0], np.int32),
    }


PARAMETERS = "<float xs = {0.02}, uint8 xz = {120}, int8 sz = {-3}, float ys = {0.05}, uint8 yz = {90}, int8 tz = {7}>"


@pytest.mark.parametrize("opset", [10, 13, 21])
@pytest.mark.parametrize("per_channel", [False, True])
def test_2d(opset, per_channel):
    constants = _weights(np.random.default_rng(1), (6, 4, 3, 3), "int8", per_channel)
    body = f"""g (uint8[1,4,9,9] x) => (uint8[1,6,5,5] y) {PARAMETERS} {{
        y = QLinearConv<pads=[1,1,1,1], strides=[2,2]>(x, xs, xz, w, ws, wz, ys, yz, B)
    }}"""
    loaded = compare(model(body, constants, opset))
    assert names(loaded, "quantize") == ["y"]
    assert ops(loaded).count("dequantize") == 3


def test_signed_activations_grouped_dilated_asymmetric_padding():
    constants = _weights(np.random.default_rng(2), (6, 2, 3, 3), "int8", True)
    body = f"""g (int8[2,4,9,9] x) => (int8[2,6,8,8] y) {PARAMETERS} {{
        y = QLinearConv<pads=[1,2,2,1], dilations=[2,2], group=2>(x, xs, sz, w, ws, wz, ys, tz, B)
    }}"""
    compare(model(body, constants))


def test_1d_without_bias_and_unsigned_weights():
    constants = _weights(np.random.default_rng(3), (6, 4, 3), "uint8", False)
    body = f"""g (uint8[1,4,9] x) => (uint8[1,6,7] y) {PARAMETERS} {{
        y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz)
    }}"""
    compare(model(body, constants))


def test_auto_pad_and_scalar_zero_point_of_per_channel_weights():
    constants = _weights(np.random.default_rng(4), (6, 4, 2, 2), "int8", True) | {"wz": np.int8(0)}
    body = f"""g (uint8[1,4,9,9] x) => (uint8[1,6,5,5] y) {PARAMETERS} {{
        y = QLinearConv<auto_pad="SAME_LOWER", strides=[2,2]>(x, xs, xz, w, ws, wz, ys, yz, B)
    }}"""
    proto = model(body, constants)
    same = model(body, constants | {"wz": np.zeros(6, np.int8)})
    compare(proto, reference=same)


def test_channels_last():
    constants = _weights(np.random.default_rng(5), (6, 4, 3, 3), "int8", True)
    body = f"""g (uint8[1,9,9,4] x) => (uint8[1,5,5,6] y) {PARAMETERS} {{
        y = com.microsoft.QLinearConv<channels_last=1, pads=[1,1,1,1], strides=[2,2]>
            (x, xs, xz, w, ws, wz, ys, yz, B)
    }}"""
    compare(model(body, constants))

"""com.microsoft's pooling against ONNX Runtime."""

import pytest

from tests.frontend.runs import compare, model

PARAMETERS = "<float xs = {0.02}, uint8 xz = {12}, float ys = {0.01}, uint8 yz = {9}>"


@pytest.mark.parametrize("include", [0, 1])
def test_average(include):
    body = f"""g (uint8[2,3,9,9] x) => (uint8[2,3,5,5] y) {PARAMETERS} {{
        y = com.microsoft.QLinearAveragePool
            <kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], count_include_pad={include}>(x, xs, xz, ys, yz)
    }}"""
    compare(model(body))


def test_average_channels_last():
    body = f"""g (uint8[2,9,9,3] x) => (uint8[2,5,5,3] y) {PARAMETERS} {{
        y = com.microsoft.QLinearAveragePool
            <kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], channels_last=1>(x, xs, xz, ys, yz)
    }}"""
    compare(model(body))


@pytest.mark.parametrize(("shape", "result", "last"), [("2,3,9,9", "2,3,1,1", 0), ("2,9,9,3", "2,1,1,3", 1)])
def test_global_average(shape, result, last):
    body = f"""g (uint8[{shape}] x) => (uint8[{result}] y) {PARAMETERS} {{
        y = com.microsoft.QLinearGlobalAveragePool<channels_last={last}>(x, xs, xz, ys, yz)
    }}"""
    compare(model(body))


def test_nhwc_max():
    body = """g (uint8[2,9,9,3] x) => (uint8[2,5,5,3] y) {
        y = com.microsoft.NhwcMaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x)
    }"""
    compare(model(body), lsb=0)

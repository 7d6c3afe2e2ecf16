"""com.microsoft's quantized elementwise operators against ONNX Runtime."""

import pytest

from tests.frontend.runs import compare, model, names

PARAMETERS = "<float xs = {0.02}, int8 xz = {-12}, float bs = {0.05}, int8 bz = {4}, float ys = {0.04}, int8 yz = {9}>"
UNSIGNED = (
    "<float xs = {0.02}, uint8 xz = {12}, float bs = {0.05}, uint8 bz = {200}, float ys = {0.04}, uint8 yz = {9}>"
)


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_binary_broadcasts(op):
    body = f"""g (int8[2,3,4] x, int8[3,1] b) => (int8[2,3,4] y) {PARAMETERS} {{
        y = com.microsoft.QLinear{op}(x, xs, xz, b, bs, bz, ys, yz)
    }}"""
    assert names(compare(model(body)), "quantize") == ["y"]


def test_left_out_zero_points_are_zero_of_the_input_type():
    body = """g (uint8[2,3] x, uint8[2,3] b) => (uint8[2,3] y) %s {
        y = com.microsoft.QLinearAdd(x, xs, %s, b, bs, %s, ys, %s)
    }"""
    zero = "<float xs = {0.02}, float bs = {0.05}, float ys = {0.04}, uint8 z = {0}>"
    compare(model(body % (zero, "", "", "")), reference=model(body % (zero, "z", "z", "z")))


@pytest.mark.parametrize("op", ["QLinearSigmoid", "QLinearLeakyRelu<alpha=0.1>", "QLinearLeakyRelu"])
def test_unary(op):
    body = f"""g (int8[2,3,40] x) => (int8[2,3,40] y) {PARAMETERS} {{
        y = com.microsoft.{op}(x, xs, xz, ys, yz)
    }}"""
    compare(model(body))


@pytest.mark.parametrize(("axis", "version"), [(-1, 13), (1, 13), (0, 11), (1, 11), (2, 11)])
def test_softmax(axis, version):
    body = f"""g (uint8[2,3,4] x) => (uint8[2,3,4] y) <float xs = {{0.02}}, uint8 xz = {{12}},
                                                      float ys = {{0.00390625}}, uint8 yz = {{0}}> {{
        y = com.microsoft.QLinearSoftmax<axis={axis}, opset={version}>(x, xs, xz, ys, yz)
    }}"""
    compare(model(body, opset=max(version, 13)))


def test_concat_of_different_scales():
    body = f"""g (uint8[2,3,4] x, uint8[2,5,4] b, uint8[2,1,4] c) => (uint8[2,9,4] y) {UNSIGNED} {{
        y = com.microsoft.QLinearConcat<axis=1>(ys, yz, x, xs, xz, b, bs, bz, c, ys, yz)
    }}"""
    compare(model(body))


def test_where():
    body = f"""g (bool[2,3,4] k, uint8[2,3,4] x, uint8[2,1,4] b) => (uint8[2,3,4] y) {UNSIGNED} {{
        y = com.microsoft.QLinearWhere(k, x, xs, xz, b, bs, bz, ys, yz)
    }}"""
    compare(model(body))


@pytest.mark.parametrize("opset", [13, 18])
def test_reduce_mean(opset):
    # ONNX Runtime knows this operator but has no CPU kernel for it.
    body = f"""g (uint8[2,3,4] x) => (uint8[2,1,4] y) {UNSIGNED} {{
        y = com.microsoft.QLinearReduceMean<axes=[1], keepdims=1>(x, xs, xz, ys, yz)
    }}"""
    meaning = f"""g (uint8[2,3,4] x) => (uint8[2,1,4] y) {UNSIGNED} {{
        f = DequantizeLinear(x, xs, xz)
        m = ReduceMean<axes=[1], keepdims=1>(f)
        y = QuantizeLinear(m, ys, yz)
    }}"""
    compare(model(body, opset=opset), reference=model(meaning, opset=13))

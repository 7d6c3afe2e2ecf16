"""Scales, zero points and axes that make no sense."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.frontend.runs import compare, model
from tvmopt import frontend
from tvmopt.errors import ModelError, TvmoptError, UnsupportedError
from tvmopt.passes import pipeline


def refusal(proto: onnx.ModelProto, kind: type[TvmoptError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        frontend.load(proto)
    return str(caught.value)


def quantize(scale, zero, attributes: str = "") -> onnx.ModelProto:
    body = f"g (float[2,3,4] x) => (int8[2,3,4] y) {{ y = QuantizeLinear{attributes}(x, s, z) }}"
    return model(body, {"s": np.asarray(scale), "z": np.asarray(zero)})


F = np.float32


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf, -np.inf])
def test_scale(scale):
    message = refusal(quantize(F(scale), np.int8(0)))
    assert message == f"<memory>: node 'QuantizeLinear:y': its scale is {F(scale)}, it has to be finite and positive"


def test_scale_of_one_channel():
    message = refusal(quantize(F([1, 0, 1]), np.zeros(3, np.int8)))
    assert "its scale of channel 1 is 0.0" in message


def test_scale_of_a_qlinear_operator_is_found_at_its_own_node():
    body = """g (uint8[3,8] x, uint8[8,5] w) => (uint8[3,5] y) <float s = {0.1}, uint8 z = {0}> {
        y = QLinearMatMul(x, s, z, w, bad, z, s, z)
    }"""
    message = refusal(model(body, {"bad": F("nan")}))
    assert message.startswith("<memory>: node 'QLinearMatMul:y': its scale is nan")


def test_missing_scale():
    body = "g (uint8[3,8] x) => (float[3,8] y) { y = DequantizeLinear(x, ) }"
    proto = model(body.replace("(x, )", "(x, x)"))
    proto.graph.node[0].input[1] = ""
    assert refusal(proto).endswith("DequantizeLinear needs its input 1 (x_scale), it is missing")


def test_zero_point_of_another_type_than_the_values():
    body = "g (uint8[3,8] x) => (float[3,8] y) <float s = {0.1}, int8 z = {0}> { y = DequantizeLinear(x, s, z) }"
    assert "DequantizeLinear:y" in refusal(model(body))


def test_zero_point_of_a_type_that_nothing_is_quantized_to():
    body = "g (float[3] x) => (float[3] y) <float s = {0.1}, float z = {0}> { y = QuantizeLinear(x, s, z) }"
    assert "QuantizeLinear" in refusal(model(body))


def test_zero_point_of_an_int32_tensor():
    body = "g (int32[3] x) => (float[3] y) <float s = {0.1}, int32 z = {1}> { y = DequantizeLinear(x, s, z) }"
    assert refusal(model(body)).endswith("an int32 tensor has no zero point other than 0")


def test_zero_point_out_of_range():
    proto = quantize(F(0.1), np.int8(0))
    proto.graph.initializer[1].ClearField("raw_data")
    proto.graph.initializer[1].int32_data.append(300)
    assert refusal(proto) == "<memory>: node 'z': its value 300 is out of the range of int8, [-128, 127]"


def test_zero_point_of_another_shape_than_the_scale():
    assert "its scale has shape (3,), its zero point (2,)" in refusal(quantize(F([1, 1, 1]), np.zeros(2, np.int8)))


@pytest.mark.parametrize("axis", [3, -4])
def test_axis_out_of_range(axis):
    message = refusal(quantize(F([1, 1, 1]), np.zeros(3, np.int8), f"<axis={axis}>"))
    assert message == f"<memory>: node 'QuantizeLinear:y': its axis is {axis}, its tensor has 3 dimensions"


def test_axis_of_another_length():
    message = refusal(quantize(F([1, 1, 1]), np.zeros(3, np.int8), "<axis=2>"))
    assert "its scale has shape (3,); one per channel of axis 2 would be (4,)" in message


def test_blocks_of_another_number():
    body = "g (int8[2,8] x) => (float[2,8] y) { y = DequantizeLinear<axis=1, block_size=4>(x, s) }"
    message = refusal(model(body, {"s": np.ones((2, 3), F)}, opset=21))
    assert "its scale has shape (2, 3), blocks of 4 need (2, 2)" in message


def test_type_that_is_no_integer():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT8E4M3FN, [3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.5])
    graph = helper.make_graph([helper.make_node("DequantizeLinear", ["x", "s"], ["y"])], "g", [x], [y], [scale])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    assert refusal(proto, UnsupportedError).endswith("quantization to float8e4m3fn is not supported")


@pytest.mark.parametrize(("scale", "reason"), [(0.0, "its weight has a scale that is zero"), (-0.5, None)])
def test_weights_may_have_any_scale(scale, reason):
    w = np.random.default_rng(0).integers(-9, 9, (2, 3, 3, 3)).astype(np.int8)
    body = """g (float[1,3,5,5] x) => (float[1,2,3,3] y) <float xs = {0.05}, int8 z = {3}> {
        q = QuantizeLinear(x, xs, z)
        d = DequantizeLinear(q, xs, z)
        f = DequantizeLinear<axis=0>(w, s)
        c = Conv(d, f)
        r = QuantizeLinear(c, xs, z)
        y = DequantizeLinear(r, xs, z)
    }"""
    loaded = compare(model(body, {"w": w, "s": F([0.01, scale])}))
    assert pipeline.run(loaded).float_reasons.get("c") == reason

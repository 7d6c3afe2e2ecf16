"""Quantized and integer arithmetic against ONNX Runtime: every type, per tensor, per channel, in blocks."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.frontend.runs import by_onnxruntime, by_tvm, compare, model, ops
from tvmopt import frontend

NARROW = {"int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, -3])
def test_quantize_and_dequantize(dtype, axis):
    rng, shape = np.random.default_rng(0), (2, 3, 4)
    count = () if axis is None else shape[axis]
    info = np.iinfo(dtype)
    constants = {
        "s": (0.01 + 0.1 * rng.random(count)).astype(np.float32),
        "z": rng.integers(info.min, info.max, count, dtype, endpoint=True),
    }
    given = "" if axis is None else f"<axis={axis}>"
    body = f"""g (float[2,3,4] x, {dtype}[2,3,4] v) => ({dtype}[2,3,4] q, float[2,3,4] f) {{
        q = QuantizeLinear{given}(x, s, z)
        f = DequantizeLinear{given}(v, s, z)
    }}"""
    compare(model(body, constants, opset=21), lsb=0)


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
def test_every_version(opset):
    body = """g (float[2,3] x, uint8[2,3] v) => (uint8[2,3] q, float[2,3] f) <float s = {0.1}, uint8 z = {7}> {
        q = QuantizeLinear(x, s, z)
        f = DequantizeLinear(v, s, z)
    }"""
    compare(model(body, opset=opset), lsb=0)


def test_halves_are_rounded_to_even_and_the_rest_saturates():
    x = np.float32([-1e9, -300, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 300, 1e9, np.inf, -np.inf])
    proto = model("g (float[12] x) => (int8[12] y) <float s = {1}, int8 z = {1}> { y = QuantizeLinear(x, s, z) }")
    want = [-128, -128, -1, -1, 1, 1, 3, 3, 127, 127, 127, -128]
    assert by_onnxruntime(proto, {"x": x})[0].tolist() == want
    assert by_tvm(frontend.load(proto), {"x": x})[0].tolist() == want


def test_scale_with_one_element_and_left_out_zero_point():
    body = """g (float[2,3] x, int32[3] v) => (uint8[2,3] q, float[3] f) <float[1] s = {0.1}> {
        q = QuantizeLinear(x, s)
        f = DequantizeLinear(v, s)
    }"""
    compare(model(body), lsb=0)


def test_scale_and_zero_point_that_are_computed():
    body = """g (float[2,3] x, float s, uint8 z) => (uint8[2,3] q, float[2,3] f) {
        t = Abs(s)
        q = QuantizeLinear(x, t, z)
        f = DequantizeLinear(q, t, z)
    }"""
    compare(model(body))


@pytest.mark.parametrize("dtype", NARROW)
def test_four_bits_without_blocks_are_eight_bits(dtype):
    weight = np.random.default_rng(0).integers(0 if dtype == "uint4" else -8, 8, (5, 4)).astype(NARROW[dtype])
    constants = {"w": weight, "s": np.float32([0.1, 0.2, 0.3, 0.4]), "z": np.array([1, 2, 3, 0]).astype(NARROW[dtype])}
    body = "g (float[3,5] x) => (float[3,4] y) { d = DequantizeLinear<axis=1>(w, s, z) y = MatMul(x, d) }"
    loaded = compare(model(body, constants, opset=21))
    assert ops(loaded) == ["dequantize", "matmul"]
    weights = [binding.value.args[0] for binding in loaded.mod["main"].body.blocks[0].bindings]
    assert weights[0].value.numpy().dtype.name == dtype.replace("4", "8")


@pytest.mark.parametrize("dtype", NARROW)
def test_four_bits_as_an_output(dtype):
    proto = model(f"g (float[6] x) => ({dtype}[6] y) <float s = {{1}}> {{ y = QuantizeLinear(x, s, z) }}", opset=21)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1).astype(NARROW[dtype]), "z"))
    loaded = frontend.load(proto)
    (y,) = by_tvm(loaded, {"x": np.float32([-100, -3, 0.5, 1.5, 5, 100])})
    low, high = (-8, 7) if dtype == "int4" else (0, 15)
    assert y.tolist() == [low, max(-2, low), 1, 3, 6, high]
    assert y.dtype.name == loaded.outputs[0].dtype == dtype.replace("4", "8")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int4", "uint4"])
@pytest.mark.parametrize(("axis", "block"), [(0, 2), (1, 3), (-1, 4)])
def test_blocks_of_a_weight(dtype, axis, block):
    rng = np.random.default_rng(0)
    shape = [4, 12]
    blocks = list(shape)
    blocks[axis] //= block
    kind = NARROW.get(dtype, dtype)
    constants = {
        "w": rng.integers(0, 8, shape).astype(kind),
        "s": (0.1 + rng.random(blocks)).astype(np.float32),
        "z": rng.integers(0, 8, blocks).astype(kind),
    }
    body = f"""g (float[3,4] x) => (float[3,12] y) {{
        d = DequantizeLinear<axis={axis}, block_size={block}>(w, s, z)
        y = MatMul(x, d)
    }}"""
    assert ops(compare(model(body, constants, opset=21)))[:2] == ["dequantize", "reshape"]


def test_blocks_of_an_activation():
    rng = np.random.default_rng(0)
    constants = {"s": (0.1 + rng.random((2, 3))).astype(np.float32), "z": rng.integers(0, 255, (2, 3), np.uint8)}
    body = """g (float[2,8] x, uint8[2,8] v) => (uint8[2,8] q, float[2,8] f) {
        q = QuantizeLinear<axis=1, block_size=3>(x, s, z)
        f = DequantizeLinear<axis=1, block_size=3>(v, s, z)
    }"""
    # ONNX Runtime's blocks divide the axis; ONNX's reference takes the shorter last one, too.
    proto = model(body, constants, opset=21)
    arrays = {"x": rng.normal(size=(2, 8)).astype(np.float32), "v": rng.integers(0, 255, (2, 8), np.uint8)}
    want = onnx.reference.ReferenceEvaluator(proto).run(None, arrays)
    for have, expected in zip(by_tvm(frontend.load(proto), arrays), want, strict=True):
        np.testing.assert_array_equal(have, expected)


@pytest.mark.parametrize(
    "x", [[0, 2, -3, -2.5, 1.34, 0.5], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6], [-1, -2, -3, -4, -5, -6]]
)
def test_dynamic_quantize_linear(x):
    proto = model("g (float[6] x) => (uint8[6] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear(x) }")
    arrays = {"x": np.float32(x)}
    for have, want in zip(by_tvm(frontend.load(proto), arrays), by_onnxruntime(proto, arrays), strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scales_of_half_precision(dtype):
    proto = model(
        f"""g (uint8[2,3] v, {dtype}[2,3] x) => ({dtype}[2,3] f, uint8[2,3] q) {{
        f = DequantizeLinear(v, s, z)
        q = QuantizeLinear(x, s, z)
    }}""",
        {"s": np.array(0.1).astype(getattr(ml_dtypes, dtype, np.float16)), "z": np.uint8(7)},
        opset=21,
    )
    rng = np.random.default_rng(0)
    kind = getattr(ml_dtypes, dtype, np.float16)
    arrays = {"v": rng.integers(0, 255, (2, 3), np.uint8), "x": rng.normal(size=(2, 3)).astype(kind)}
    want = onnx.reference.ReferenceEvaluator(proto).run(None, arrays)
    for have, expected in zip(by_tvm(frontend.load(proto), arrays), want, strict=True):
        assert have.dtype == expected.dtype
        np.testing.assert_allclose(have.astype(np.float32), expected.astype(np.float32), rtol=2**-8)

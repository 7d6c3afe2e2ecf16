"""Integer products with a scaled result: as float products of dequantized operands where that is what they are."""

import numpy as np
import pytest

from tests.frontend.normalize.test_matmul import constants
from tests.frontend.runs import compare, model, ops

GROUPINGS = {
    "scales first": "s = Mul(xs, ws) t = Mul(f, s)",
    "scales first, turned": "s = Mul(ws, xs) t = Mul(s, f)",
    "one by one": "s = Mul(f, xs) t = Mul(s, ws)",
    "constant first": "s = Mul(f, ws) t = Mul(s, xs)",
}


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("per_column", [False, True])
def test_matmul(grouping, per_column):
    body = f"""g (float[2,3,8] x) => (float[2,3,5] y) {{
        xq, xs, xz = DynamicQuantizeLinear(x)
        p = MatMulInteger(xq, w, xz, wz)
        f = Cast<to=1>(p)
        {GROUPINGS[grouping]}
        y = Add(t, bf)
    }}"""
    loaded = compare(model(body, constants(per_column), opset=11))
    assert ops(loaded).count("dequantize") == 2
    assert "int32" not in str(loaded.mod)


def test_product_of_two_dynamic_tensors():
    body = """g (float[2,3,8] x, float[2,8,5] b) => (float[2,3,5] y) {
        xq, xs, xz = DynamicQuantizeLinear(x)
        bq, bs, bz = DynamicQuantizeLinear(b)
        p = MatMulInteger(xq, bq, xz, bz)
        f = Cast<to=1>(p)
        s = Mul(xs, bs)
        y = Mul(f, s)
    }"""
    assert ops(compare(model(body))).count("dequantize") == 2


def test_conv():
    rng = np.random.default_rng(1)
    weights = {"w": rng.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8), "ws": np.float32(0.01), "wz": np.int8(3)}
    body = """g (float[2,4,9,8] x) => (float[2,6,9,8] y) {
        xq, xs, xz = DynamicQuantizeLinear(x)
        p = ConvInteger<pads=[1,1,1,1]>(xq, w, xz, wz)
        f = Cast<to=1>(p)
        s = Mul(xs, ws)
        y = Mul(f, s)
    }"""
    loaded = compare(model(body, weights))
    assert ops(loaded).count("dequantize") == 2
    assert "int32" not in str(loaded.mod)


def test_conv_scaled_per_channel():
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8),
        "ws": (0.01 + rng.random((1, 6, 1, 1))).astype(np.float32),
    }
    body = """g (float[2,4,9,8] x) => (float[2,6,7,6] y) {
        xq, xs, xz = DynamicQuantizeLinear(x)
        p = ConvInteger(xq, w, xz)
        f = Cast<to=1>(p)
        s = Mul(f, xs)
        y = Mul(s, ws)
    }"""
    assert ops(compare(model(body, weights))).count("dequantize") == 2


@pytest.mark.parametrize("factor", ["rows", "negative", "half"])
def test_what_is_no_scale_of_the_weight_is_multiplied_afterwards(factor):
    body = f"""g (float[2,3,8] x) => (float[2,3,5] y) {{
        xq, xs, xz = DynamicQuantizeLinear(x)
        p = MatMulInteger(xq, w, xz, wz)
        f = Cast<to=1>(p)
        s = Mul(f, xs)
        y = Mul(s, {factor})
    }}"""
    factors = {"half": np.float32(0.5), "rows": np.float32([[1], [2], [3]]), "negative": np.float32(-1)}
    loaded = compare(model(body, constants() | {factor: factors[factor]}))
    assert ops(loaded).count("multiply") == (factor != "half")


def test_an_activation_whose_scale_is_not_multiplied_stays_integer():
    body = """g (float[2,3,8] x) => (float[2,3,5] y) {
        xq, xs, xz = DynamicQuantizeLinear(x)
        p = MatMulInteger(xq, w, xz, wz)
        f = Cast<to=1>(p)
        y = Mul(f, ws)
    }"""
    assert "int32" in str(compare(model(body, constants())).mod)


def test_integers_that_are_used_as_such_are_exact():
    body = """g (uint8[2,3,8] x) => (int32[2,3,5] y) <uint8 xz = {99}> { y = MatMulInteger(x, w, xz, wz) }"""
    compare(model(body, constants()), lsb=0)
    weights = {"w": np.random.default_rng(0).integers(0, 255, (6, 4, 3, 3)).astype(np.uint8)}
    body = """g (uint8[2,4,9,8] x) => (int32[2,6,9,8] y) <uint8 xz = {99}, uint8 wz = {7}> {
        y = ConvInteger<pads=[1,1,1,1]>(x, w, xz, wz)
    }"""
    compare(model(body, weights), lsb=0)

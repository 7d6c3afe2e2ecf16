"""QOperator and com.microsoft models, compiled: products bit for bit as ONNX Runtime, the rest within 1 LSB."""

import numpy as np
import pytest

import tvmopt
from tests.frontend.runs import by_onnxruntime, feeds, model

RNG = np.random.default_rng(7)
CONSTANTS = {
    "cw": RNG.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8),
    "cs": (0.001 + 0.02 * RNG.random(6)).astype(np.float32),
    "cz": np.zeros(6, np.int8),
    "cn": np.float32([0.003, -0.02, 0.01, -0.001, -0.007, 0.02]),
    "cb": RNG.integers(-1000, 1000, 6).astype(np.int32),
    "dw": RNG.integers(-128, 128, (4, 1, 3, 3)).astype(np.int8),
    "ds": (0.001 + 0.02 * RNG.random(4)).astype(np.float32),
    "dz": np.zeros(4, np.int8),
    "mw": RNG.integers(0, 255, (16, 5), np.uint8),
    "ms": (0.001 + 0.02 * RNG.random(5)).astype(np.float32),
    "mz": RNG.integers(0, 255, 5, np.uint8),
    "mb": RNG.integers(-1000, 1000, 5).astype(np.int32),
    "mf": RNG.normal(size=5).astype(np.float32),
}
PARAMETERS = "<float xs = {0.02}, uint8 xz = {120}, int8 sz = {-3}, float ys = {0.05}, uint8 yz = {90}, int8 tz = {7}>"

EXACT = {
    "conv": "uint8[2,4,9,9] -> uint8[2,6,5,5]: QLinearConv<pads=[1,1,1,1], strides=[2,2]>(x,xs,xz,cw,cs,cz,ys,yz,cb)",
    "conv of signed": "int8[2,4,9,9] -> int8[2,6,9,9]: QLinearConv<pads=[1,1,1,1]>(x,xs,sz,cw,cs,cz,ys,tz,cb)",
    "conv with negative scales": "uint8[2,4,9,9] -> uint8[2,6,7,7]: QLinearConv(x,xs,xz,cw,cn,cz,ys,yz,cb)",
    "depthwise": "uint8[1,4,9,9] -> uint8[1,4,7,7]: QLinearConv<group=4>(x,xs,xz,dw,ds,dz,ys,yz)",
    "channels last": """uint8[1,9,9,4] -> uint8[1,9,9,6]:
        com.microsoft.QLinearConv<pads=[1,1,1,1], channels_last=1>(x,xs,xz,cw,cs,cz,ys,yz,cb)""",
    "matmul": "uint8[3,16] -> uint8[3,5]: QLinearMatMul(x,xs,xz,mw,ms,mz,ys,yz)",
    "gemm": "uint8[3,16] -> uint8[3,5]: com.microsoft.QGemm<alpha=0.75>(x,xs,xz,mw,ms,mz,mb,ys,yz)",
    "gemm to float": "uint8[3,16] -> float[3,5]: com.microsoft.QGemm(x,xs,xz,mw,ms,mz,mb)",
    "integer to float": "uint8[2,3,16] -> float[2,3,5]: com.microsoft.MatMulIntegerToFloat(x,mw,xs,ms,xz,mz,mf)",
    "integers": "uint8[2,3,16] -> int32[2,3,5]: MatMulInteger(x,mw,xz,mz)",
    "integer conv": "uint8[2,4,9,9] -> int32[2,6,7,7]: ConvInteger(x,cw,xz)",
    "add": "uint8[2,3,40] -> uint8[2,3,40]: com.microsoft.QLinearAdd(x,xs,xz,x,ys,xz,ys,yz)",
    "mul": "uint8[2,3,40] -> uint8[2,3,40]: com.microsoft.QLinearMul(x,xs,xz,x,ys,xz,ys,yz)",
    "concat": "uint8[2,3,40] -> uint8[2,6,40]: com.microsoft.QLinearConcat<axis=1>(ys,yz,x,xs,xz,x,ys,yz)",
}
CLOSE = {
    "sigmoid": "int8[2,3,40] -> int8[2,3,40]: com.microsoft.QLinearSigmoid(x,xs,sz,ys,tz)",
    "leaky relu": "int8[2,3,40] -> int8[2,3,40]: com.microsoft.QLinearLeakyRelu<alpha=0.2>(x,xs,sz,ys,tz)",
    "softmax": "uint8[2,3,40] -> uint8[2,3,40]: com.microsoft.QLinearSoftmax<opset=13>(x,xs,xz,ys,yz)",
    "average pool": """uint8[2,4,9,9] -> uint8[2,4,5,5]: com.microsoft.QLinearAveragePool
        <kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x,xs,xz,ys,yz)""",
    "global average pool": "uint8[2,4,9,9] -> uint8[2,4,1,1]: com.microsoft.QLinearGlobalAveragePool(x,xs,xz,ys,yz)",
}


def run(case: str) -> tuple[np.ndarray, np.ndarray]:
    """What ONNX Runtime gives, and what the compiled model does."""
    types, _, call = case.partition(":")
    taken, given = types.split("->")
    proto = model(f"g ({taken} x) => ({given} y) {PARAMETERS} {{ y = {call} }}", CONSTANTS)
    loaded = tvmopt.load(proto)
    arrays = feeds(loaded)
    (want,) = by_onnxruntime(proto, arrays)
    return want, tvmopt.compile(loaded).run(arrays)["y"]


@pytest.mark.parametrize("name", EXACT)
def test_exact(name):
    want, have = run(EXACT[name])
    assert have.dtype == want.dtype
    np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("name", CLOSE)
def test_within_one_lsb(name):
    want, have = run(CLOSE[name])
    assert have.dtype == want.dtype
    np.testing.assert_allclose(have.astype(int), want.astype(int), atol=1, rtol=0)


def test_dynamic_quantization():
    proto = model(
        """g (float[2,3,16] x) => (float[2,3,5] y) {
            q, s, z = DynamicQuantizeLinear(x)
            p = MatMulInteger(q, mw, z, mz)
            f = Cast<to=1>(p)
            k = Mul(s, ms)
            t = Mul(f, k)
            y = Add(t, mf)
        }""",
        CONSTANTS,
    )
    loaded = tvmopt.load(proto)
    arrays = feeds(loaded)
    np.testing.assert_allclose(tvmopt.compile(loaded).run(arrays)["y"], by_onnxruntime(proto, arrays)[0], rtol=1e-6)

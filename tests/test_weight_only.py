"""Models whose weights have few bits, compiled: their results, and that the weights stay as small as they are."""

import numpy as np
import onnx
import pytest

import tvmopt
from tests.frontend.runs import by_onnxruntime, model

LENGTH, OUTPUTS, BLOCK = 256, 512, 32
RNG = np.random.default_rng(0)
SCALE = RNG.uniform(-0.1, 0.1, (LENGTH // BLOCK, OUTPUTS)).astype(np.float32)  # quantizers give blocks any sign
SCALE[0, :2] = 0, -0.0


def nbits() -> onnx.ModelProto:
    body = f"""g (float[1,{LENGTH}] x) => (float[1,{OUTPUTS}] y) {{
        h = com.microsoft.MatMulNBits<K={LENGTH}, N={OUTPUTS}, bits=4, block_size={BLOCK}>(x, B, s)
        y = Tanh(h)
    }}"""
    packed = RNG.integers(0, 256, (OUTPUTS, LENGTH // BLOCK, BLOCK // 2), np.uint8)
    return model(body, {"B": packed, "s": np.ascontiguousarray(SCALE.T).reshape(-1)})


def blocks() -> onnx.ModelProto:
    body = f"""g (float[1,{LENGTH}] x) => (float[1,{OUTPUTS}] y) {{
        f = DequantizeLinear<axis=0, block_size={BLOCK}>(w, s)
        h = MatMul(x, f)
        y = Add(h, b)
    }}"""
    weight = RNG.integers(-8, 8, (LENGTH, OUTPUTS)).astype(np.int8)
    return model(body, {"w": weight, "s": SCALE, "b": RNG.normal(size=OUTPUTS).astype(np.float32)}, opset=21)


def columns() -> onnx.ModelProto:
    body = f"""g (float[1,{LENGTH}] x) => (float[1,{OUTPUTS}] y) {{
        f = DequantizeLinear<axis=0>(w, s)
        y = Gemm<transB=1>(x, f)
    }}"""
    weight = RNG.integers(-8, 8, (OUTPUTS, LENGTH)).astype(np.int8)
    return model(body, {"w": weight, "s": SCALE[0]}, opset=21)


@pytest.mark.parametrize("proto", [nbits, blocks, columns])
@pytest.mark.parametrize("target", ["host", "x86/generic"])
def test_weights_of_four_bits_stay_so(proto, target, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(proto(), path)
    x = {"x": RNG.normal(size=(1, LENGTH)).astype(np.float32)}
    (want,) = by_onnxruntime(onnx.load(path), x)
    artifact = tvmopt.compile(path, target)
    np.testing.assert_allclose(artifact.run(x)["y"], want, rtol=0, atol=1e-5 * np.abs(want).max())
    lowered = next(record for record in artifact.manifest["history"] if record["name"] == "Lower")
    assert (lowered["after"]["regions"], lowered["after"]["inlined"]) == (1, 0)
    artifact.save(tmp_path / "model.so")
    assert (tmp_path / "model.so").stat().st_size < LENGTH * OUTPUTS / 2 + SCALE.nbytes + 40_000

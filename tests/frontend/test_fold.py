"""What is computed while loading, and what is not."""

import numpy as np

from tests.frontend.runs import compare, model, ops
from tvmopt import frontend


def test_shape_computations_disappear():
    body = """g (float[2,3,4] x) => (float[2,12] y) {
        s = Shape(x)
        n = Gather<axis=0>(s, zero)
        u = Unsqueeze(n, axes)
        t = Concat<axis=0>(u, rest)
        y = Reshape(x, t)
    }"""
    constants = {"zero": np.int64(0), "axes": np.int64([0]), "rest": np.int64([-1])}
    assert ops(compare(model(body, constants))) == ["reshape"]


def test_shape_computations_of_older_opsets_disappear():
    """Unsqueeze had its axes in an attribute."""
    body = """g (float[2,3,4] x) => (float[2,12] y) {
        s = Shape(x)
        n = Gather<axis=0>(s, zero)
        u = Unsqueeze<axes=[0]>(n)
        t = Concat<axis=0>(u, rest)
        y = Reshape(x, t)
    }"""
    assert ops(compare(model(body, {"zero": np.int64(0), "rest": np.int64([-1])}, opset=9))) == ["reshape"]


def test_weights_are_quantized_now_and_not_dequantized():
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "s": np.float32([0.02] * 4),
        "z": np.zeros(4, np.int8),
    }
    body = """g (float[1,3,8,8] x) => (float[1,4,6,6] y) {
        q = QuantizeLinear<axis=0>(w, s, z)
        d = DequantizeLinear<axis=0>(q, s, z)
        y = Conv(x, d)
    }"""
    assert ops(compare(model(body, constants))) == ["dequantize", "nn.conv2d"]


def test_a_constant_output_is_a_constant():
    loaded = compare(
        model("g (float[2] x) => (float[2] y, float[2] z) { y = Abs(x) z = Neg(w) }", {"w": np.ones(2, np.float32)})
    )
    assert ops(loaded) == ["abs"]


def test_large_results_of_small_constants_are_left_to_run_time():
    body = "g (float[1] x) => (float[2000,2000] y) { b = Expand(one, s) y = Add(x, b) }"
    loaded = frontend.load(model(body, {"one": np.float32([1]), "s": np.int64([2000, 2000])}))
    assert "broadcast_to" in ops(loaded)

"""Rewrites of ai.onnx's own operators."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model, ops
from tvmopt import frontend
from tvmopt.errors import UnsupportedError


def test_weights_behind_a_transpose_are_stored_turned():
    rng = np.random.default_rng(0)
    constants = {"w": rng.integers(-128, 128, (5, 8)).astype(np.int8), "s": rng.random(5).astype(np.float32)}
    body = """g (float[3,8] x) => (float[3,5] y) {
        d = DequantizeLinear<axis=0>(w, s)
        t = Transpose<perm=[1,0]>(d)
        y = MatMul(x, t)
    }"""
    assert ops(compare(model(body, constants))) == ["dequantize", "matmul"]


def test_dropout_is_nothing_at_inference():
    body = "g (float[3,8] x) => (float[3,8] y, bool[3,8] m) { d, m = Dropout(x) y = Neg(d) }"
    loaded = compare(model(body))
    assert ops(loaded) == ["negative"]


def test_dropout_in_training_is_refused():
    body = "g (float[3,8] x) => (float[3,8] y) <float r = {0.5}, bool t = {1}> { y = Dropout(x, r, t) }"
    with pytest.raises(UnsupportedError, match=r"Dropout:y.*training mode"):
        frontend.load(model(body))


def test_parts_without_elements_are_not_concatenated():
    body = """g (float[2,4] x) => (float[2,4] y) {
        a = Slice(x, zero, four, one)
        b = Slice(x, four, four, one)
        c = Neg(a)
        y = Concat<axis=1>(c, b)
    }"""
    constants = {"zero": np.int64([0]), "four": np.int64([4]), "one": np.int64([1])}
    loaded = compare(model(body, constants))
    assert "concat" not in ops(loaded)


def test_split_into_all_and_nothing():
    body = """g (float[2,4] x) => (float[2,4] y, float[2,0] z) {
        a, z = Split<axis=1>(x, sizes)
        y = Neg(a)
    }"""
    assert ops(compare(model(body, {"sizes": np.int64([4, 0])}))) == ["negative"]


def test_cast_like():
    compare(model("g (float[3] x, int32[1] k) => (int32[3] y) { y = CastLike(x, k) }", opset=15))


def test_functions_of_onnx_are_expanded():
    body = """g (float[2,8] x, float[8] s) => (float[2,8] y, float[2,1] m, float[2,1] v) {
        y, m, v = LayerNormalization(x, s)
    }"""
    compare(model(body, opset=17))


def test_identities_disappear():
    body = """g (float[2] x) => (float[2] y, float[2] z) {
        a = Identity(x)
        b = Abs(a)
        c = Identity(b)
        y = Identity(c)
        z = Identity(x)
    }"""
    loaded = compare(model(body))
    assert ops(loaded) == ["abs"]
    assert [spec.name for spec in loaded.outputs] == ["y", "z"]


def test_concat_of_very_many():
    """Of so many parts at once, what TVM makes of them ends the process."""
    names = [f"n{i}" for i in range(150)]
    nodes = " ".join(f"{name} = Add(x, c{i})" for i, name in enumerate(names))
    constants = {f"c{i}": np.float32(i) for i in range(len(names))}
    body = f"g (float[1,2] x) => (float[150,2] y) {{ {nodes} y = Concat<axis=0>({', '.join(names)}) }}"
    assert ops(compare(model(body, constants))).count("concat") == 4

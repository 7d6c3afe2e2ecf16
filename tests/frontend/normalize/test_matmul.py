"""Quantized matrix products of both domains against ONNX Runtime."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model, names, ops

PARAMETERS = "<float xs = {0.02}, uint8 xz = {120}, float ys = {0.05}, uint8 yz = {90}>"


def constants(per_column=True, seed=1):
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 255, (8, 5), np.uint8)
    count = 5 if per_column else ()
    return {
        "w": w,
        "wt": w.T.copy(),
        "ws": (0.001 + 0.02 * rng.random(count)).astype(np.float32),
        "wz": rng.integers(0, 255, count, np.uint8),
        "B": rng.integers(-1000, 1000, 5, np.int32),
        "bf": rng.normal(size=5).astype(np.float32),
    }


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("opset", [10, 13, 21])
def test_qlinear_matmul(per_column, opset):
    body = f"""g (uint8[3,8] x) => (uint8[3,5] y) {PARAMETERS} {{
        y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz)
    }}"""
    assert names(compare(model(body, constants(per_column), opset)), "quantize") == ["y"]


def test_qlinear_matmul_of_activations():
    body = f"""g (uint8[2,3,8] x, uint8[2,8,5] b) => (uint8[2,3,5] y) {PARAMETERS} {{
        y = QLinearMatMul(x, xs, xz, b, ys, yz, ys, yz)
    }}"""
    compare(model(body))


def test_qlinear_matmul_per_row_and_per_matrix_scales():
    # ONNX allows these; ONNX Runtime does not: compared with the definition, in numpy.
    from tests.frontend.runs import by_tvm
    from tvmopt import frontend

    rng = np.random.default_rng(2)
    row = {"rs": np.float32([[0.01], [0.02], [0.03]]), "rz": np.uint8([[1], [2], [3]])}
    each = {"es": np.float32([0.01, 0.02]).reshape(2, 1, 1), "ez": np.uint8([7, 8]).reshape(2, 1, 1)}
    x, w = rng.integers(0, 255, (2, 3, 8), np.uint8), rng.integers(0, 255, (2, 8, 5), np.uint8)
    body = f"""g (uint8[2,3,8] x, uint8[2,8,5] w) => (uint8[2,3,5] y) {PARAMETERS} {{
        y = QLinearMatMul(x, rs, rz, w, es, ez, ys, yz)
    }}"""
    (have,) = by_tvm(frontend.load(model(body, row | each)), {"x": x, "w": w})
    product = ((x - row["rz"].astype(np.float32)) * row["rs"]) @ ((w - each["ez"].astype(np.float32)) * each["es"])
    want = np.clip(np.rint(product / np.float32(0.05)) + 90, 0, 255)
    assert np.abs(have - want).max() <= 1


@pytest.mark.parametrize("attributes", ["", "<transB=1, alpha=1.5>", "<transB=1>", "<alpha=0.5>"])
@pytest.mark.parametrize("output", [", ys, yz", ""])
def test_qgemm(attributes, output):
    weight = "wt" if "transB" in attributes else "w"
    dtype = "uint8" if output else "float"
    body = f"""g (uint8[3,8] x) => ({dtype}[3,5] y) {PARAMETERS} {{
        y = com.microsoft.QGemm{attributes}(x, xs, xz, {weight}, ws, wz, B{output})
    }}"""
    loaded = compare(model(body, constants()))
    assert "permute_dims" not in ops(loaded)  # a transposed weight is stored the other way round


def test_matmul_integer_to_float():
    body = f"""g (uint8[2,3,8] x) => (float[2,3,5] y) {PARAMETERS} {{
        y = com.microsoft.MatMulIntegerToFloat(x, w, xs, ws, xz, wz, bf)
    }}"""
    compare(model(body, constants()))


def test_dynamic_quantize_matmul():
    body = """g (float[2,3,8] x) => (float[2,3,5] y) {
        y = com.microsoft.DynamicQuantizeMatMul(x, w, ws, wz, bf)
    }"""
    assert ops(compare(model(body, constants()))).count("dequantize") == 2

import numpy as np
import pytest

from tests.frontend.runs import model as onnx_model
from tests.passes.qdq import Qdq
from tvmopt import frontend
from tvmopt.passes import pipeline
from tvmopt.quant.params import QParams
from tvmopt.report.metrics import Saving, layers, summary

X = QParams.per_tensor(0.05, 3, "int8")
W = QParams.per_tensor(0.01, 0, "int8")
Y = QParams.per_tensor(0.5, 0, "int8")


@pytest.fixture
def model():
    """conv 3x3 (channels 1 and 2 dead) -> depthwise -> 1x1 -> softmax in float -> gemm in float."""
    rng = np.random.default_rng(0)
    first = rng.integers(1, 100, (4, 2, 3, 3)).astype(np.int8)
    first[1:3] = 0
    g = Qdq()
    x = g.fake(g.node("Conv", g.input((1, 2, 8, 8), X), g.weight(first, W), stem="first"), Y)
    depthwise = rng.integers(1, 100, (4, 1, 3, 3)).astype(np.int8)
    x = g.fake(g.node("Conv", x, g.weight(depthwise, W), group=4, stem="second"), Y)
    pointwise = rng.integers(1, 100, (5, 4, 1, 1)).astype(np.int8)
    x = g.fake(g.node("Conv", x, g.weight(pointwise, W), stem="third"), Y)
    x = g.node("Flatten", g.node("Softmax", x, axis=1, stem="soft"))
    x = g.node("Gemm", x, g.constant(rng.normal(size=(80, 3)).astype(np.float32)), stem="dense")
    return frontend.load(g.model(x))


def test_layers(model):
    rows = layers(pipeline.run(model, sparsity=False), {})
    assert [(row.op, row.where) for row in rows] == [
        ("quantize", "int8"),
        ("conv 3x3", "int8"),
        ("conv 3x3 depthwise", "int8"),
        ("conv 1x1", "int8"),
        ("dequantize", "int8"),
        ("nn.softmax", "float"),
        ("reshape", "float"),
        ("matmul", "float"),
    ]
    conv, depthwise, pointwise = rows[1:4]
    assert conv.macs == 6 * 6 * 4 * 2 * 9
    assert conv.weight_bytes == conv.weights == 4 * 2 * 9
    assert (conv.zero_weights, conv.dead_channels, conv.dead_inputs) == (36, 2, 0)
    assert conv.savings["channels"] == Saving(conv.macs // 2, 36, 2 * 6 * 6)
    assert pointwise.savings == {}
    assert depthwise.macs == 4 * 4 * 4 * 9
    assert pointwise.macs == 4 * 4 * 5 * 4
    assert rows[-1].macs == 80 * 3
    assert rows[-1].weight_bytes == 80 * 3 * 4
    assert rows[5].reason == "its result is not quantized"
    assert [row.reason for row in rows if row.where != "float"] == [""] * 5


def test_folded_layers_tell_what_went(model):
    rows = layers(pipeline.run(model), {})
    assert [row.removed_channels for row in rows] == [0, 2, 2, 0, 0, 0, 0, 0]
    assert [row.dead_channels for row in rows] == [0] * 8
    assert rows[1].macs == 6 * 6 * 2 * 2 * 9


def test_summary(model):
    dense, folded = (summary(pipeline.run(model, sparsity=sparsity)) for sparsity in (False, True))
    assert dense.macs == dense.macs_after_folding == folded.macs
    assert folded.macs_after_folding == 6 * 6 * 2 * 18 + 4 * 4 * 2 * 9 + 4 * 4 * 5 * 2 + 240
    assert folded.weight_bytes == 72 + 36 + 20 + 960
    assert folded.dead_channels == 2
    assert folded.zero_fraction == 36 / (72 + 36 + 20)
    assert folded.activation_bytes - folded.activation_bytes_after_folding == 2 * 36 + 2 * 16
    assert (folded.quantized_ops, folded.float_ops) == (5, 3)
    assert folded.peak_bytes == 2 * 5 * 4 * 4 * 4  # the softmax, from float to float


def test_zero_fraction_of_the_official_model(mlperf_tiny):
    sums = summary(pipeline.run(frontend.load(mlperf_tiny["vww"])))
    assert round(sums.zero_fraction, 3) == 0.828
    assert sums.dead_channels == 971


def test_a_product_of_which_only_the_weight_is_quantized_is_a_float_op():
    body = """g (float[2,8] x) => (float[2,16] y) {
        f = DequantizeLinear<axis=1>(w, s)
        y = MatMul(x, f)
    }"""
    constants = {"w": np.ones((8, 16), np.int8), "s": np.ones(16, np.float32)}
    grouped = pipeline.run(frontend.load(onnx_model(body, constants)))
    (row,) = layers(grouped, {})
    assert (row.name, row.op, row.where, row.macs) == ("y", "weight_only", "float", 2 * 8 * 16)
    assert row.reason == "only its weight is quantized"
    assert (summary(grouped).quantized_ops, summary(grouped).float_ops) == (0, 1)

"""com.microsoft's fused float operators against ONNX Runtime."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model
from tvmopt import frontend
from tvmopt.errors import UnsupportedError


@pytest.mark.parametrize(
    "op", ["Gelu(x)", "FastGelu(x)", "FastGelu(x, b)", "BiasGelu(x, b)", "QuickGelu<alpha=1.5>(x)"]
)
def test_gelu(op):
    compare(model(f"g (float[3,4] x) => (float[3,4] y) {{ y = com.microsoft.{op} }}", {"b": np.ones(4, np.float32)}))


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid"])
def test_fused_conv(activation):
    parameters = {"LeakyRelu": [0.2], "Clip": [-0.5, 0.75], "HardSigmoid": [0.2, 0.5]}.get(activation)
    given = f", activation_params={parameters}" if parameters else ""
    w = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    body = f"""g (float[1,3,8,8] x) => (float[1,4,8,8] y) {{
        y = com.microsoft.FusedConv<pads=[1,1,1,1], activation="{activation}"{given}>(x, w)
    }}"""
    compare(model(body, {"w": w}))


def test_fused_conv_of_an_unknown_activation():
    body = """g (float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y) {
        y = com.microsoft.FusedConv<activation="Softsign">(x, w)
    }"""
    with pytest.raises(UnsupportedError, match=r"FusedConv:y.*activation 'Softsign'"):
        frontend.load(model(body))


def test_fused_matmul():
    body = """g (float[2,8,3] a, float[2,5,8] b) => (float[2,3,5] y) {
        y = com.microsoft.FusedMatMul<transA=1, transB=1, alpha=0.5>(a, b)
    }"""
    compare(model(body))

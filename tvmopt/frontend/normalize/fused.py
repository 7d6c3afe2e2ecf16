"""com.microsoft float operators that ONNX Runtime's optimizer writes -> operators of ai.onnx."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...errors import UnsupportedError
from ..contrib import DOMAIN
from .builder import Builder, Rule, rank


def _gelu(to: Builder) -> Sequence[ir.Value]:
    """Gelu(X), BiasGelu(A, B) -> 0.5 * v * (1 + Erf(v / sqrt(2))), v = X or A + B."""
    x = _biased(to)
    erf = to.op("Erf", to.op("Mul", x, _scalar(to, math.sqrt(0.5))))
    return [to.op("Mul", to.op("Mul", x, to.op("Add", erf, _scalar(to, 1.0))), _scalar(to, 0.5))]


def _fast_gelu(to: Builder) -> Sequence[ir.Value]:
    """FastGelu(X, bias) -> 0.5 * v * (1 + Tanh(sqrt(2 / pi) * (v + 0.044715 * v^3))), v = X + bias."""
    x = _biased(to)
    cube = to.op("Mul", to.op("Mul", x, x), x)
    inner = to.op("Add", x, to.op("Mul", cube, _scalar(to, 0.044715)))
    tanh = to.op("Tanh", to.op("Mul", inner, _scalar(to, math.sqrt(2 / math.pi))))
    return [to.op("Mul", to.op("Mul", x, to.op("Add", tanh, _scalar(to, 1.0))), _scalar(to, 0.5))]


def _quick_gelu(to: Builder) -> Sequence[ir.Value]:
    """QuickGelu(X, alpha) -> X * Sigmoid(alpha * X)."""
    x = to.input(0)
    scaled = to.op("Mul", x, _scalar(to, to.node.attributes.get_float("alpha", 1.702)))
    return [to.op("Mul", x, to.op("Sigmoid", scaled))]


def _fused_conv(to: Builder) -> Sequence[ir.Value]:
    """FusedConv(X, W, B, Z, activation) -> activation(Conv(X, W, B) + Z)."""
    x, w, bias, z = (to.input(i) for i in range(4))
    value = to.op("Conv", x, w, bias, **to.kept("activation", "activation_params"))
    if z is not None:
        value = to.op("Add", value, z)
    activation = to.node.attributes.get_string("activation", "")
    parameters = to.node.attributes.get_floats("activation_params", ())
    match activation:
        case "":
            return [value]
        case "Relu" | "Sigmoid" | "Tanh":
            return [to.op(activation, value)]
        case "LeakyRelu":
            return [to.op("LeakyRelu", value, alpha=parameters[0])]
        case "HardSigmoid":
            return [to.op("HardSigmoid", value, alpha=parameters[0], beta=parameters[1])]
        case "Clip" if to.opset >= 11:
            return [to.op("Clip", value, _scalar(to, parameters[0]), _scalar(to, parameters[1]))]
    raise UnsupportedError(f"FusedConv with activation '{activation}' is not supported", node=to.node.name)


def _fused_matmul(to: Builder) -> Sequence[ir.Value] | None:
    """FusedMatMul(A, B, transA, transB, alpha) -> alpha * MatMul(A or its transpose, B or its transpose)."""
    attributes = to.node.attributes
    if attributes.get_int("transBatchA", 0) or attributes.get_int("transBatchB", 0):
        raise UnsupportedError("FusedMatMul with transBatchA or transBatchB is not supported", node=to.node.name)
    operands = []
    for value, flag in ((to.input(0), "transA"), (to.input(1), "transB")):
        if attributes.get_int(flag, 0):
            ndim = rank(value)
            if ndim is None:
                return None
            if ndim > 1:
                value = to.op("Transpose", value, perm=[*range(ndim - 2), ndim - 1, ndim - 2])
        operands.append(value)
    product, alpha = to.op("MatMul", *operands), attributes.get_float("alpha", 1.0)
    return [product if alpha == 1.0 else to.op("Mul", product, _scalar(to, alpha))]


def _biased(to: Builder) -> ir.Value:
    x, bias = to.input(0), to.input(1)
    assert x is not None
    return x if bias is None else to.op("Add", x, bias)


def _scalar(to: Builder, value: float) -> ir.Value:
    x = to.input(0)
    assert x is not None
    dtype = x.dtype.numpy() if x.dtype is not None else np.float32
    return to.constant(np.asarray(value, dtype))


RULES: dict[tuple[str, str], Rule] = {
    (DOMAIN, "BiasGelu"): _gelu,
    (DOMAIN, "FastGelu"): _fast_gelu,
    (DOMAIN, "FusedConv"): _fused_conv,
    (DOMAIN, "FusedMatMul"): _fused_matmul,
    (DOMAIN, "Gelu"): _gelu,
    (DOMAIN, "QuickGelu"): _quick_gelu,
}

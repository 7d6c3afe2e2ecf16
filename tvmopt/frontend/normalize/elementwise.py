"""com.microsoft QLinear* elementwise operators -> DequantizeLinear, float operator, QuantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..contrib import DOMAIN
from .builder import Builder, Rule, rank


def _binary(op_type: str) -> Rule:
    """QLinear<op>(A, a_scale, a_zp, B, b_scale, b_zp, c_scale, c_zp) -> Q(op(DQ(A), DQ(B)))."""

    def rule(to: Builder) -> Sequence[ir.Value]:
        a, a_scale, a_zero, b, b_scale, b_zero, c_scale, c_zero = (to.input(i) for i in range(8))
        value = to.op(op_type, to.dequantize(a, a_scale, a_zero), to.dequantize(b, b_scale, b_zero))
        return [to.quantize(value, c_scale, c_zero, like=a)]

    return rule


def _unary(op_type: str) -> Rule:
    """QLinear<op>(X, x_scale, x_zp, y_scale, y_zp, attributes) -> Q(op(DQ(X), attributes))."""

    def rule(to: Builder) -> Sequence[ir.Value]:
        x, x_scale, x_zero, y_scale, y_zero = (to.input(i) for i in range(5))
        return [to.quantize(to.op(op_type, to.dequantize(x, x_scale, x_zero), **to.kept()), y_scale, y_zero, like=x)]

    return rule


def _softmax(to: Builder) -> Sequence[ir.Value] | None:
    """QLinearSoftmax(axis, opset) -> Q(Softmax(DQ(X))).

    Before opset 13, Softmax works on all axes from ``axis`` on as if they were one: Flatten, Softmax, Reshape.
    """
    x, x_scale, x_zero, y_scale, y_zero = (to.input(i) for i in range(5))
    axis, version = to.node.attributes.get_int("axis", -1), to.node.attributes.get_int("opset", to.opset)
    ndim = rank(x)
    if ndim is None:
        return None
    value = to.dequantize(x, x_scale, x_zero)
    last = axis in (-1, ndim - 1)
    if version >= 13 or last:
        return [to.quantize(to.op("Softmax", value, axis=ndim - 1 if last else axis), y_scale, y_zero)]
    flat = to.op("Softmax", to.op("Flatten", value, axis=axis % ndim), axis=1)
    return [to.quantize(to.op("Reshape", flat, to.op("Shape", x)), y_scale, y_zero)]


def _where(to: Builder) -> Sequence[ir.Value]:
    """QLinearWhere(cond, X, x_scale, x_zp, Y, y_scale, y_zp, z_scale, z_zp) -> Q(Where(cond, DQ(X), DQ(Y)))."""
    condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero = (to.input(i) for i in range(9))
    value = to.op("Where", condition, to.dequantize(x, x_scale, x_zero), to.dequantize(y, y_scale, y_zero))
    return [to.quantize(value, z_scale, z_zero)]


def _concat(to: Builder) -> Sequence[ir.Value]:
    """QLinearConcat(y_scale, y_zp, (X, x_scale, x_zp)...) -> Q(Concat(DQ(X)...))."""
    scale, zero, *rest = to.node.inputs
    parts = [to.dequantize(*rest[i : i + 3]) for i in range(0, len(rest), 3)]
    return [to.quantize(to.op("Concat", *parts, axis=to.node.attributes.get_int("axis")), scale, zero)]


def _reduce_mean(to: Builder) -> Sequence[ir.Value]:
    """QLinearReduceMean(axes, keepdims) -> Q(ReduceMean(DQ(data)))."""
    x, x_scale, x_zero, y_scale, y_zero = (to.input(i) for i in range(5))
    axes = to.node.attributes.get_ints("axes")
    keepdims = to.node.attributes.get_int("keepdims", 1)
    value = to.dequantize(x, x_scale, x_zero)
    if to.opset >= 18 and axes is not None:
        value = to.op("ReduceMean", value, to.constant(np.array(axes, np.int64)), keepdims=keepdims)
    else:
        value = to.op("ReduceMean", value, axes=axes, keepdims=keepdims)
    return [to.quantize(value, y_scale, y_zero, like=x)]


RULES: dict[tuple[str, str], Rule] = {
    (DOMAIN, "QLinearAdd"): _binary("Add"),
    (DOMAIN, "QLinearMul"): _binary("Mul"),
    (DOMAIN, "QLinearConcat"): _concat,
    (DOMAIN, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (DOMAIN, "QLinearReduceMean"): _reduce_mean,
    (DOMAIN, "QLinearSigmoid"): _unary("Sigmoid"),
    (DOMAIN, "QLinearSoftmax"): _softmax,
    (DOMAIN, "QLinearWhere"): _where,
}

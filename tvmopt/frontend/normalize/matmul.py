"""Quantized matrix products of both domains -> DequantizeLinear, MatMul or Gemm, QuantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..contrib import DOMAIN
from ..fold import constant
from .builder import Builder, Rule, rank, size, static_shape


def dequantize_operand(
    to: Builder, x: ir.Value, scale: ir.Value, zero: ir.Value | None, *, per: int, turned: bool = False
) -> ir.Value | None:
    """DequantizeLinear of a matrix operand with one scale, or one per row (``per`` -2) or column (``per`` -1).

    scale [C], or [..., C, 1] / [..., 1, C] with the operand's rank; ``turned``: x is stored transposed.
    None while the rank of x is unknown. Scales that differ between the matrices of a batch have no
    DequantizeLinear; they become ``Cast(Cast(x, int32) - zero) * scale``.
    """
    if size(scale) == 1:
        return to.dequantize(x, scale, zero)
    ndim, shape = rank(x), static_shape(scale)
    if ndim is None or shape is None:
        return None
    if len(shape) == 1:
        axis = ndim + per
        return to.dequantize(x, scale, zero, axis=2 * ndim - 3 - axis if turned else axis)
    if size(scale) == shape[per]:
        flat = to.constant(np.array([-1], np.int64))
        one_zero = zero and to.op("Reshape", zero, flat)
        return to.dequantize(x, to.op("Reshape", scale, flat), one_zero, axis=ndim + per)
    value = to.op("Cast", x, to=ir.DataType.INT32)
    if zero is not None:
        value = to.op("Sub", value, to.op("Cast", zero, to=ir.DataType.INT32))
    return to.op("Mul", to.op("Cast", value, to=ir.DataType.FLOAT), scale)


def _qlinear_matmul(to: Builder) -> Sequence[ir.Value] | None:
    """QLinearMatMul(a, ..., b, ..., y_scale, y_zp) -> Q(MatMul(DQ(a), DQ(b))); a per row, b per column."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (to.input(i) for i in range(8))
    left = dequantize_operand(to, a, a_scale, a_zero, per=-2)
    right = dequantize_operand(to, b, b_scale, b_zero, per=-1)
    if left is None or right is None:
        return None
    return [to.quantize(to.op("MatMul", left, right), y_scale, y_zero)]


def _qgemm(to: Builder) -> Sequence[ir.Value] | None:
    """QGemm(A, ..., B, ..., C, y_scale, y_zp) -> Q(Gemm(DQ(A), DQ(B), DQ(C))), without Q when y_scale is left out.

    C is int32 in units of alpha * a_scale * b_scale. alpha goes into the scale of A, as ONNX Runtime
    multiplies in that order: ((alpha * a_scale) * b_scale) / y_scale.
    """
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = (to.input(i) for i in range(9))
    attributes = to.node.attributes
    alpha, turned = attributes.get_float("alpha", 1.0), bool(attributes.get_int("transB", 0))
    if alpha != 1.0:
        a_scale = to.product(a_scale, to.constant(np.float32(alpha)))
    left = to.dequantize(a, a_scale, a_zero)
    right = dequantize_operand(to, b, b_scale, b_zero, per=-1, turned=turned)
    if right is None:
        return None
    inputs = [left, right]
    if c is not None:
        bias = _bias(to, c, to.product(a_scale, b_scale))
        if bias is None:
            return None
        inputs.append(bias)
    value = to.op("Gemm", *inputs, transA=attributes.get_int("transA", 0), transB=int(turned))
    return [value if y_scale is None else to.quantize(value, y_scale, y_zero, like=a)]


def _bias(to: Builder, c: ir.Value, scale: ir.Value) -> ir.Value | None:
    """DequantizeLinear of an int32 C that broadcasts to [M, N], with one scale or one per column."""
    array, columns = constant(c), size(scale)
    if array is not None and columns is not None and columns > 1:
        array = np.broadcast_to(array, np.broadcast_shapes(array.shape, (columns,)))
        c = to.constant(array.reshape(-1) if array.size == columns else array)  # one row is the usual bias, [N]
    ndim = rank(c)
    return None if ndim is None else to.dequantize(c, scale, None, axis=max(ndim - 1, 0))


def _to_float(to: Builder) -> Sequence[ir.Value] | None:
    """MatMulIntegerToFloat(A, B, a_scale, b_scale, a_zp, b_zp, bias) -> Add(MatMul(DQ(A), DQ(B)), bias)."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (to.input(i) for i in range(7))
    left = dequantize_operand(to, a, a_scale, a_zero, per=-2)
    right = dequantize_operand(to, b, b_scale, b_zero, per=-1)
    if left is None or right is None:
        return None
    value = to.op("MatMul", left, right)
    return [value if bias is None else to.op("Add", value, bias)]


def _dynamic(to: Builder) -> Sequence[ir.Value] | None:
    """DynamicQuantizeMatMul(A, B, b_scale, b_zp, bias): A -> DynamicQuantizeLinear, then as MatMulIntegerToFloat."""
    a, b, b_scale, b_zero, bias = (to.input(i) for i in range(5))
    right = dequantize_operand(to, b, b_scale, b_zero, per=-1)
    if right is None:
        return None
    value = to.op("MatMul", to.dequantize(*to.op_multi("DynamicQuantizeLinear", [a], 3)), right)
    return [value if bias is None else to.op("Add", value, bias)]


RULES: dict[tuple[str, str], Rule] = {
    (DOMAIN, "DynamicQuantizeMatMul"): _dynamic,
    (DOMAIN, "MatMulIntegerToFloat"): _to_float,
    (DOMAIN, "QGemm"): _qgemm,
    ("", "QLinearMatMul"): _qlinear_matmul,
}

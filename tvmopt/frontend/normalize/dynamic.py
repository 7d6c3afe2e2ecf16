"""Integer products whose result is scaled at once -> the float product of dequantized operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ..fold import constant
from .builder import Builder, Rule, rank, size


def _scaled_product(to: Builder) -> Sequence[ir.Value] | None:
    """Mul(Cast(MatMulInteger(a, b, a_zp, b_zp)), a_scale * b_scale) -> MatMul(DQ(a, a_scale), DQ(b, b_scale)).

    The same for ConvInteger -> Conv. The factors may be multiplied in any order and grouping. a_scale is
    the scale that a DynamicQuantizeLinear or QuantizeLinear made ``a`` with; what else is multiplied has to
    be b's scale likewise, or constant: one value, or one per output channel. Anything else stays an
    integer product.
    """
    factors = list(_factors(to.node.outputs[0]))
    products = [value for value in factors if _integer_product(value) is not None]
    if len(products) != 1:
        return None
    product = _integer_product(products[0])
    assert product is not None
    factors.remove(products[0])
    a, b, a_zero, b_zero = [*product.inputs, None, None][:4]
    a_scale, b_scale = _scale_of(a), _scale_of(b)
    if a_scale is None or a_scale not in factors:
        return None
    factors.remove(a_scale)
    if b_scale is not None and factors == [b_scale]:
        axis = None
    else:
        ndim, b_ndim = rank(to.node.outputs[0]), rank(b)
        if ndim is None or b_ndim is None:
            return None
        matmul = product.op_type == "MatMulInteger"
        merged = _merge([constant(factor) for factor in factors], ndim, ndim - 1 if matmul else 1)
        if merged is None:
            return None
        zeros = size(b_zero)
        if merged.ndim == 0 and zeros is not None and zeros > 1:
            merged = np.broadcast_to(merged, zeros).copy()  # a scale and a zero point come in the same number
        b_scale = to.constant(merged)
        axis = None if merged.ndim == 0 else b_ndim - 1 if matmul else 0
    left, right = to.dequantize(a, a_scale, a_zero), to.dequantize(b, b_scale, b_zero, axis=axis)
    if product.op_type == "MatMulInteger":
        return [to.op("MatMul", left, right)]
    attributes = {name: attribute.value for name, attribute in product.attributes.items()}
    return [to.op("Conv", left, right, **attributes)]


def _factors(value: ir.Value) -> Iterator[ir.Value]:
    """The values that are multiplied to give ``value``."""
    node = value.producer()
    if node is None or node.domain or node.op_type != "Mul":
        yield value
    else:
        for factor in node.inputs:
            assert factor is not None
            yield from _factors(factor)


def _integer_product(value: ir.Value) -> ir.Node | None:
    """The MatMulInteger or ConvInteger of which ``value`` is the cast to float32."""
    cast = value.producer()
    if cast is None or cast.op_type != "Cast" or cast.attributes.get_int("to") != ir.DataType.FLOAT:
        return None
    node = cast.inputs[0].producer() if cast.inputs[0] is not None else None
    return node if node is not None and node.op_type in ("MatMulInteger", "ConvInteger") else None


def _scale_of(quantized: ir.Value | None) -> ir.Value | None:
    """The scale that ``quantized`` was made with, when it was made here."""
    node = quantized.producer() if quantized is not None else None
    if node is None:
        return None
    if node.op_type == "DynamicQuantizeLinear":
        return node.outputs[1]
    return node.inputs[1] if node.op_type == "QuantizeLinear" else None


def _merge(scales: list[np.ndarray | None], ndim: int, channel: int) -> np.ndarray | None:
    """Product of constant scales, [] or [C]; None when one varies along another axis or is no scale."""
    merged = np.ones((), np.float32)
    for scale in scales:
        if scale is None:
            return None
        merged = merged * scale.astype(np.float32)
    if not (np.isfinite(merged).all() and (merged > 0).all()):
        return None
    if merged.size == 1:
        return merged.reshape(())
    if merged.ndim > ndim:
        return None
    shape = (1,) * (ndim - merged.ndim) + merged.shape
    return merged.reshape(-1) if merged.size == shape[channel] else None


RULES: dict[tuple[str, str], Rule] = {("", "Mul"): _scaled_product}

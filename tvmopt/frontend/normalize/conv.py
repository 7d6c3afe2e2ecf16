"""QLinearConv (ai.onnx, com.microsoft) -> DequantizeLinear, Conv, QuantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..contrib import DOMAIN
from .builder import Builder, Rule, rank


def _qlinear_conv(to: Builder) -> Sequence[ir.Value] | None:
    """QLinearConv(x, ..., w, ..., y_scale, y_zp, B) -> Q(Conv(DQ(x), DQ(w), DQ(B))).

    B is int32 in units of x_scale * w_scale (float32). Weights have one scale, or one per output channel.
    """
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = (to.input(i) for i in range(9))
    value = to.dequantize(x, x_scale, x_zero)
    ndim, channels_last = rank(w), to.node.attributes.get_int("channels_last", 0)
    if ndim is None:
        return None
    if channels_last:
        value = channels_first(to, value, ndim)
    inputs = [value, to.dequantize(w, w_scale, w_zero, axis=0)]
    if bias is not None:
        inputs.append(to.dequantize(bias, to.product(x_scale, w_scale), None, axis=0))
    value = to.quantize(to.op("Conv", *inputs, **to.kept("channels_last")), y_scale, y_zero)
    return [channels_to_last(to, value, ndim) if channels_last else value]


def channels_first(to: Builder, x: ir.Value, ndim: int) -> ir.Value:
    """[N, *S, C] -> [N, C, *S]."""
    return to.op("Transpose", x, perm=[0, ndim - 1, *range(1, ndim - 1)])


def channels_to_last(to: Builder, x: ir.Value, ndim: int) -> ir.Value:
    """[N, C, *S] -> [N, *S, C]."""
    return to.op("Transpose", x, perm=[0, *range(2, ndim), 1])


RULES: dict[tuple[str, str], Rule] = {("", "QLinearConv"): _qlinear_conv, (DOMAIN, "QLinearConv"): _qlinear_conv}

"""com.microsoft pooling -> pooling of ai.onnx, between DequantizeLinear and QuantizeLinear where it averages."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..contrib import DOMAIN
from .builder import Builder, Rule, rank
from .conv import channels_first, channels_to_last


def _average(op_type: str) -> Rule:
    """QLinear<op>(X, x_scale, x_zp, y_scale, y_zp, channels_last) -> Q(op(DQ(X)))."""

    def rule(to: Builder) -> Sequence[ir.Value] | None:
        x, x_scale, x_zero, y_scale, y_zero = (to.input(i) for i in range(5))
        ndim, last = rank(x), to.node.attributes.get_int("channels_last", 0)
        if ndim is None:
            return None
        value = to.dequantize(x, x_scale, x_zero)
        if last:
            value = channels_first(to, value, ndim)
        value = to.quantize(to.op(op_type, value, **to.kept("channels_last")), y_scale, y_zero, like=x)
        return [channels_to_last(to, value, ndim) if last else value]

    return rule


def _nhwc_max_pool(to: Builder) -> Sequence[ir.Value] | None:
    """NhwcMaxPool(x) -> MaxPool between transposes; it works on the quantized values themselves."""
    ndim = len(to.node.attributes.get_ints("kernel_shape", ())) + 2
    value = to.op("MaxPool", channels_first(to, to.input(0), ndim), **to.kept())
    return [channels_to_last(to, value, ndim)]


RULES: dict[tuple[str, str], Rule] = {
    (DOMAIN, "NhwcMaxPool"): _nhwc_max_pool,
    (DOMAIN, "QLinearAveragePool"): _average("AveragePool"),
    (DOMAIN, "QLinearGlobalAveragePool"): _average("GlobalAveragePool"),
}

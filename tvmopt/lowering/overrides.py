"""Operators that TVM lowers otherwise than ONNX means them, unsafely, or slowly."""

from __future__ import annotations

from collections.abc import Callable

from tvm import relax, te, tirx, topi

from .argmax import first
from .arith import f32, is_nan
from .quantize import dequantized, quantized


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX QuantizeLinear, also where the scale is computed at run time."""

    def compute(x: te.Tensor, scale: te.Tensor, zero_point: te.Tensor) -> te.Tensor:
        def element(*index: te.Var) -> te.Expr:
            channel = _channel(scale, index, call)
            quotient = x[index].astype("float32") / scale[channel]
            return quantized(quotient, zero_point[channel].astype("int32"), str(call.attrs.out_dtype))

        return te.compute(x.shape, element, "quantized")

    return builder.call_te(compute, *call.args, primfunc_name_hint="quantize")


def _dequantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX DequantizeLinear, also where the scale is computed at run time."""

    def compute(x: te.Tensor, scale: te.Tensor, zero_point: te.Tensor) -> te.Tensor:
        def element(*index: te.Var) -> te.Expr:
            channel = _channel(scale, index, call)
            return dequantized(x[index], scale[channel], zero_point[channel].astype("int32"))

        return te.compute(x.shape, element, "dequantized")

    return builder.call_te(compute, *call.args, primfunc_name_hint="dequantize")


def _channel(scale: te.Tensor, index: tuple[te.Var, ...], call: relax.Call) -> tuple[te.Var | int, ...]:
    """Which scale an element has: none to choose from, or the one of its channel."""
    if scale.ndim == 0:
        return ()
    return (0,) if int(scale.shape[0]) == 1 else (index[int(call.attrs.axis)],)


def _erf(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX Erf."""
    if str(call.ty.dtype) != "float32":
        return call.op.get_attr("FLegalize")(builder, call)
    return builder.call_te(_fast_erf, *call.args, primfunc_name_hint="erf")


def _gelu(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX Gelu: ``x * (0.5 + 0.5 * erf(x * sqrt(0.5)))``."""
    if str(call.ty.dtype) != "float32":
        return call.op.get_attr("FLegalize")(builder, call)

    def compute(x: te.Tensor) -> te.Tensor:
        erf = _fast_erf(te.compute(x.shape, lambda *at: x[at] * f32(0.5**0.5), "scaled"))
        return te.compute(x.shape, lambda *at: x[at] * (f32(0.5) + f32(0.5) * erf[at]), "gelu")

    return builder.call_te(compute, *call.args, primfunc_name_hint="gelu")


def _fast_erf(x: te.Tensor) -> te.Tensor:
    """Within 6 units in the last place, and vectorized; libm's, which TVM calls, is within 1 and 50 times slower."""
    erf = topi.fast_erf(x)
    return te.compute(x.shape, lambda *at: tirx.Select(is_nan(x[at]), x[at], erf[at]), "erf")


def _softmax(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX Softmax: ``exp(x - max) * (1 / sum)``, as ONNX Runtime (MLAS) has it: a division for each row."""
    if str(call.ty.dtype) != "float32":
        return call.op.get_attr("FLegalize")(builder, call)

    def compute(x: te.Tensor) -> te.Tensor:
        axis = int(call.attrs.axis) % x.ndim
        rest = [*x.shape[:axis], *x.shape[axis + 1 :]]

        def reduced(values: te.Tensor, by: Callable[..., te.Expr], name: str) -> te.Tensor:
            k = te.reduce_axis((0, x.shape[axis]), "k")
            return te.compute(rest, lambda *at: by(values(*at[:axis], k, *at[axis:]), axis=k), name)

        top = reduced(x, te.max, "top")
        power = te.compute(x.shape, lambda *at: tirx.exp(x(*at) - top(*at[:axis], *at[axis + 1 :])), "power")
        total = reduced(power, te.sum, "total")
        share = te.compute(rest, lambda *at: f32(1) / total(*at), "share")
        return te.compute(x.shape, lambda *at: power(*at) * share(*at[:axis], *at[axis + 1 :]), "softmax")

    return builder.call_te(compute, *call.args, primfunc_name_hint="softmax")


def _take(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX Gather: a negative index counts from the end. One out of range, which ONNX forbids, reads the first or last
    element, not other memory."""
    axis = None if call.attrs.axis is None else int(call.attrs.axis)

    def compute(x: te.Tensor, indices: te.Tensor) -> te.Tensor:
        size = x.shape[axis or 0].astype(indices.dtype)
        from_begin = lambda *at: tirx.Select(indices[at] < 0, indices[at] + size, indices[at])  # noqa: E731
        return topi.take(x, te.compute(indices.shape, from_begin, "from_begin"), axis=axis, mode="clip")

    return builder.call_te(compute, *call.args, primfunc_name_hint="take")


def _arg(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX ArgMax and ArgMin."""
    if call.attrs.axis is None:
        return call.op.get_attr("FLegalize")(builder, call)
    axis, largest = int(call.attrs.axis) % call.args[0].ty.ndim, call.op.name == "relax.argmax"
    return builder.call_te(
        first, call.args[0], axis, largest, bool(call.attrs.keepdims), primfunc_name_hint=call.op.name.split(".")[-1]
    )


OVERRIDES = {
    "relax.argmax": _arg,
    "relax.argmin": _arg,
    "relax.dequantize": _dequantize,
    "relax.erf": _erf,
    "relax.nn.gelu": _gelu,
    "relax.nn.softmax": _softmax,
    "relax.quantize": _quantize,
    "relax.take": _take,
}
"""Legalization functions by operator, for ``relax.transform.LegalizeOps``."""

"""Float and integer operators whose conversion by TVM is missing, wrong, or not made of Relax ops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.ir import GenericConst

from ...errors import ModelError, UnsupportedError
from ...quant.relax_form.scope import constant
from .call import Call, Converter, cast, dtype_of
from .tracked import Inputs

op = relax.op


def _each(combine: Callable[[Any, Any], Any]) -> Converter:
    """An operator of any number of inputs, as one op of two after the other."""
    return lambda call: functools.reduce(lambda x, y: call.bb.normalize(combine(x, y)), call.inputs)


def _bit_shift(call: Call) -> Any:
    """A shift by less than nothing, or by all bits or more, leaves only copies of the sign (opset 28)."""
    x, y = call.inputs[0], call.inputs[1]
    dtype = dtype_of(x)
    bits, zero = np.iinfo(dtype).bits, relax.const(0, dtype)
    left = call.attributes["direction"] == b"LEFT"
    inside = op.less(y, relax.const(bits, dtype))
    if dtype.startswith("int"):
        inside = op.logical_and(inside, op.greater_equal(y, zero))
    inside = call.bb.normalize(inside)
    amount = op.where(inside, y, zero)
    shifted = op.left_shift(x, amount) if left else op.right_shift(x, amount)
    rest = zero if left or dtype.startswith("uint") else op.where(op.less(x, zero), relax.const(-1, dtype), zero)
    return op.where(inside, shifted, rest)


def _in_float32(call: Call) -> Any:
    """Half-precision operands as float32, and the result as they were: for sums, as in ``_matmul``, and for operators
    whose constants TVM has in float32."""
    dtype = dtype_of(call.inputs[0])
    if dtype not in ("float16", "bfloat16"):
        return call.stock()
    wide = Inputs([None if x is None else cast(call, x, "float32") for x in call.inputs])
    result = call.bb.normalize(call.stock(wide))
    if isinstance(result.ty, relax.TupleType):  # of a batch norm, which has others for training
        result = relax.TupleGetItem(call.bb.emit(result), 0)
    return cast(call, result, dtype)


def _gather(call: Call) -> Any:
    """Negative indices count from the end. Constant ones have to be in range; computed ones wrap around it,
    so that none reads outside of the tensor."""
    data, indices, axis = call.inputs[0], call.inputs[1], call.attributes.get("axis", 0)
    if isinstance(data, relax.ShapeExpr) or isinstance(indices, relax.ShapeExpr):
        return call.stock()
    size = data.ty.shape[axis]
    if not isinstance(indices, GenericConst) or not isinstance(size, tirx.IntImm):
        return op.take(data, indices, axis, mode="wrap")
    array, size = indices.value.numpy().astype(np.int64), int(size)
    outside = array[(array < -size) | (array >= size)]
    if outside.size:
        raise ModelError(f"Gather reads index {outside.flat[0]} of an axis of length {size}")
    return op.take(data, constant(array % size), axis)


def _is_inf(call: Call) -> Any:
    """Infinite, of the signs that are asked for."""
    x = call.inputs[0]
    zero = relax.const(0.0, dtype_of(x))
    found = op.isinf(x)
    if not call.attributes.get("detect_negative", 1):
        found = op.logical_and(found, op.greater(x, zero))
    if not call.attributes.get("detect_positive", 1):
        found = op.logical_and(found, op.less(x, zero))
    return found


def _lp_normalization(call: Call) -> Any:
    """``x / (sum |x|**p)**(1/p)`` along an axis, p = 1 or 2; zeros stay zeros."""
    x, axis = call.inputs[0], call.attributes.get("axis", -1)
    squared = call.attributes.get("p", 2) == 2
    total = call.bb.normalize(op.sum(op.multiply(x, x) if squared else op.abs(x), axis, keepdims=True))
    norm = call.bb.normalize(op.sqrt(total) if squared else total)
    return op.divide(x, op.where(op.equal(norm, relax.const(0, dtype_of(x))), relax.const(1, dtype_of(x)), norm))


def _matmul(call: Call) -> Any:
    """Half-precision operands are multiplied and summed in float32, as in ONNX Runtime."""
    a, b = call.inputs[0], call.inputs[1]
    if dtype_of(a) in ("float16", "bfloat16"):
        return cast(call, op.matmul(cast(call, a, "float32"), cast(call, b, "float32")), dtype_of(a))
    return op.matmul(a, b)


def _mod(call: Call) -> Any:
    """The remainder with the sign of the dividend (fmod = 1), or of the divisor: ``a - floor(a / b) * b``."""
    a, b = call.inputs[0], call.inputs[1]
    if call.attributes.get("fmod", 0):
        return op.mod(a, b)
    if "int" in dtype_of(a):
        return op.floor_mod(a, b)
    zero = relax.const(0.0, dtype_of(a))
    rest = call.bb.normalize(op.mod(a, b))
    differ = op.logical_xor(op.less(rest, zero), op.less(b, zero))
    return op.where(op.logical_and(op.not_equal(rest, zero), differ), op.add(rest, b), rest)


def _one_hot(call: Call) -> Any:
    """``indices == 0 .. depth - 1 ? on : off`` on a new axis; negative indices count from the end."""
    indices, depth, values = call.inputs[0], call.inputs[1], call.inputs[2]
    if not isinstance(depth, GenericConst):
        raise ValueError("its depth is computed")
    count = int(depth.value.numpy().reshape(()))
    axis = call.attributes.get("axis", -1)
    axis += indices.ty.ndim + 1 if axis < 0 else 0
    dtype = "int64" if "int" in dtype_of(indices) else dtype_of(indices)
    wide = cast(call, indices, dtype)
    zero, whole = relax.const(0, dtype), relax.const(count, dtype)
    wide = call.bb.normalize(op.where(op.less(wide, zero), op.add(wide, whole), wide))
    places = np.arange(count).reshape([-1 if i == axis else 1 for i in range(indices.ty.ndim + 1)])
    hot = call.bb.normalize(op.equal(op.expand_dims(wide, axis), constant(places.astype(dtype))))
    off, on = (op.reshape(op.strided_slice(values, [0], [i], [i + 1]), ()) for i in (0, 1))
    return op.where(hot, call.bb.normalize(on), call.bb.normalize(off))


_PRODUCTS = (2, 3, 4)
"""Powers that are products: a GPU's power of negative numbers is NaN, and libm's takes long."""


def _pow(call: Call) -> Any:
    """The result has the type of the base; a power of integers is computed in float64 and rounded."""
    base, exponent = call.inputs[0], call.inputs[1]
    dtype = dtype_of(base)
    if "float" not in dtype:
        return op.astype(op.round(op.power(cast(call, base, "float64"), cast(call, exponent, "float64"))), dtype)
    if isinstance(exponent, GenericConst) and exponent.ty.ndim <= base.ty.ndim:
        values = exponent.value.numpy().reshape(-1)
        if len(values) == 1 and values[0] in _PRODUCTS:
            return functools.reduce(lambda x, y: call.bb.normalize(op.multiply(x, y)), [base] * int(values[0]))
    return op.power(base, cast(call, exponent, dtype))


def _prelu(call: Call) -> Any:
    """``x < 0 ? slope * x : x``; before opset 7 a vector of slopes goes along axis 1."""
    x, slope = call.inputs[0], call.inputs[1]
    if call.opset < 7 and slope.ty.ndim == 1 and x.ty.ndim > 1:
        slope = op.reshape(slope, [1, -1] + [1] * (x.ty.ndim - 2))
    return op.where(op.less(x, relax.const(0, dtype_of(x))), op.multiply(slope, x), x)


def _reduce_max(call: Call) -> Any:
    """TVM's maximum starts from the lowest finite number; of nothing but -inf it is -inf."""
    return _extreme(call, -np.inf, op.greater)


def _reduce_min(call: Call) -> Any:
    """TVM's minimum starts from the highest finite number; of nothing but inf it is inf."""
    return _extreme(call, np.inf, op.less)


def _extreme(call: Call, limit: float, within: Callable[..., Any]) -> Any:
    x, dtype = call.inputs[0], dtype_of(call.inputs[0])
    if 0 in x.ty.shape:
        raise UnsupportedError(f"{call.node.op_type} of no elements is not supported")
    if dtype == "bool":
        bytes_ = Inputs([cast(call, x, "uint8"), *call.inputs[1:]])
        return cast(call, call.stock(bytes_), "bool")
    result = call.bb.normalize(call.stock())
    if "float" not in dtype:
        return result
    unlimited = relax.const(limit, dtype)
    reduced = call.bb.normalize(
        call.stock(Inputs([op.astype(within(x, unlimited), "int8"), *call.inputs[1:]]), "ReduceMax")
    )
    return op.where(op.equal(reduced, relax.const(0, "int8")), unlimited, result)


def _slice(call: Call) -> Any:
    """Before opset 10, what to take is in attributes."""
    if "starts" not in call.attributes:
        return call.stock()
    taken = (call.attributes.get(name) for name in ("starts", "ends", "axes"))
    return call.stock(Inputs([call.inputs[0], *(values and constant(np.array(values, np.int64)) for values in taken)]))


def _softplus(call: Call) -> Any:
    """``max(x, 0) + log1p(u)``, u = exp(-|x|); log1p(u) = u * log(1 + u) / ((1 + u) - 1) loses no digits."""
    x = call.inputs[0]
    one, zero = relax.const(1.0, dtype_of(x)), relax.const(0.0, dtype_of(x))
    u = call.bb.normalize(op.exp(op.negative(op.abs(x))))
    w = call.bb.normalize(op.add(one, u))
    log1p = op.where(op.equal(w, one), u, op.divide(op.multiply(u, op.log(w)), op.subtract(w, one)))
    return op.add(op.maximum(x, zero), log1p)


def _mish(call: Call) -> Any:
    """``x * tanh(softplus(x))``; with e = exp(x), tanh(log(1 + e)) = n / (n + 2), n = e * (e + 2). Large x stay x."""
    x = call.inputs[0]
    two = relax.const(2.0, dtype_of(x))
    e = call.bb.normalize(op.exp(op.minimum(x, relax.const(10.0, dtype_of(x)))))
    n = call.bb.normalize(op.multiply(e, op.add(e, two)))
    return op.multiply(x, op.divide(n, op.add(n, two)))


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(("BatchNormalization", "Conv", "Elu", "LRN", "Selu", "ThresholdedRelu"), _in_float32),
    "BitShift": _bit_shift,
    "Gather": _gather,
    "IsInf": _is_inf,
    "LpNormalization": _lp_normalization,
    "MatMul": _matmul,
    "Max": _each(op.maximum),
    "Min": _each(op.minimum),
    "Mish": _mish,
    "Mod": _mod,
    "OneHot": _one_hot,
    "PRelu": _prelu,
    "Pow": _pow,
    "ReduceMax": _reduce_max,
    "ReduceMin": _reduce_min,
    "Slice": _slice,
    "Softplus": _softplus,
    "Sum": _each(op.add),
}

"""Convolutions and matrix products, with what is added to them: Relax expression -> region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tvm import relax

from ..params import QParams
from ..regions import Border, Clamp, Conv, MatMul, WeightOnly
from .scope import Expr, Match, Quantized, Scope, Unfit, Var, ints, is_8bit, op_name
from .weight_only import blocked_matrix

CONV = ("relax.nn.conv1d", "relax.nn.conv2d")
CONV_TRANSPOSE = ("relax.nn.conv1d_transpose", "relax.nn.conv2d_transpose")
CHANNELS_FIRST = ("NCW", "NCHW", "NCDHW")
HEAVY = ("relax.matmul", *CONV, *CONV_TRANSPOSE)
"""Ops with multiply-accumulates: worth an int8 region even where their result stays float."""

NO_CLAMP: Clamp = (0, 0)
"""The ``clamp`` of regions with a float result, which has none."""


@dataclass(frozen=True)
class Sum:
    """A convolution or matrix product, and what is added to it.

    Attributes
    ----------
    bias   : a constant.
    border : a constant image, and its scale (``unit``).
    """

    call: relax.Call
    bias: Expr | None = None
    border: Border | None = None
    unit: np.ndarray | None = None


def split_bias(expr: Expr, scope: Scope) -> Sum | None:
    """The convolution or matrix product that ``expr`` is, with what is added to it, if anything."""
    call = scope.call(expr, *HEAVY)
    if call is not None:
        return Sum(call)
    add = scope.call(expr, "relax.add")
    for operand, other in (add.args, add.args[::-1]) if add is not None else ():
        call = scope.call(operand, *HEAVY)
        if call is not None and constant_operand(other, scope):
            return Sum(call, other)
        found = _border(other, scope)
        inner = None if found is None else split_bias(operand, scope)
        if found is not None and inner is not None and inner.border is None:
            return replace(inner, border=found[0], unit=found[1])
    return None


def _border(expr: Expr, scope: Scope) -> tuple[Border, np.ndarray] | None:
    """The border that ``expr`` is, rows and columns taken from a dequantized int32 constant; and its scale."""
    found = scope.quantized(expr)
    if found is None or found.params is None or found.params.dtype != np.int32:
        return None
    tensor = found.tensor
    index: list[np.ndarray] = []
    for axis in reversed(range(2, expr.ty.ndim)):
        call = scope.call(tensor, "relax.take")
        taken = None if call is None or int(call.attrs.axis) != axis else scope.constant(call.args[1])
        if call is None or taken is None:
            return None
        index.insert(0, taken)
        tensor = call.args[0]
    values = scope.constant(tensor)
    return None if values is None or not index else (Border(values[0], tuple(index)), found.params.scale)


def constant_operand(expr: Expr, scope: Scope) -> bool:
    """Whether ``expr`` is a constant, quantized or not."""
    found = scope.quantized(expr)
    return scope.constant(found.tensor if found is not None else expr) is not None


def multiply_accumulate(found: Sum, y: QParams | None, clamp: Clamp, scope: Scope) -> Match:
    """The region of a sum of products, and of what is added to it; y, clamp : of its result, None where that is float.

    Raises Unfit.
    """
    call = found.call
    if str(call.ty.dtype) != "float32":
        raise Unfit(f"it computes in {call.ty.dtype}, not in float32")
    if op_name(call) != "relax.matmul":
        return _conv(found, y, clamp, scope)
    if found.border is not None:
        raise Unfit("the constant added to it is not one value per output channel")
    return _matmul(call, found.bias, y, clamp, scope)


def _conv(found: Sum, y: QParams | None, clamp: Clamp, scope: Scope) -> Match:
    call, attrs = found.call, found.call.attrs
    transposed = op_name(call) in CONV_TRANSPOSE
    rank = call.ty.ndim
    if str(attrs.data_layout) != CHANNELS_FIRST[rank - 3] or str(attrs.out_layout) != str(attrs.data_layout):
        raise Unfit(f"its layout is {attrs.data_layout}, not channels first")
    if str(attrs.kernel_layout) != (("IOW", "IOHW") if transposed else ("OIW", "OIHW"))[rank - 3]:
        raise Unfit(f"its weight's layout is {attrs.kernel_layout}")
    x_tensor, x = scope.activation(call.args[0])
    weight, w = scope.weight(call.args[1])
    groups = int(attrs.groups)
    if w.axis not in (None, 1 if transposed else 0) or (transposed and groups > 1 and w.axis is not None):
        raise Unfit(f"its weight is quantized along axis {w.axis}, not per output channel")
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    integer_bias = _bias(found.bias, outputs, 1, rank, x, w, scope)
    if found.unit is not None and not np.array_equal(found.unit, x.scale * w.scale):
        raise Unfit("the constant added to it is not one value per output channel")
    region = Conv(
        x, w, weight, integer_bias, y, clamp,
        strides=ints(attrs.strides), padding=ints(attrs.padding), dilations=ints(attrs.dilation), groups=groups,
        transposed=transposed, output_padding=ints(attrs.output_padding) if transposed else (), border=found.border,
    )  # fmt: skip
    return Match(region, (x_tensor,))


def _matmul(call: relax.Call, bias: Expr | None, y: QParams | None, clamp: Clamp, scope: Scope) -> Match:
    if any(arg.ty.ndim < 2 for arg in call.args):
        raise Unfit("one of its operands is a vector")
    dynamic = scope.quantized(call.args[0])
    if dynamic is not None and dynamic.params is None:
        return _dynamic_matmul(call, dynamic, bias, y, scope)
    if dynamic is None and y is None and (matrix := blocked_matrix(call.args[1], scope)) is not None:
        return _weight_only(call, matrix, bias, scope)
    a_tensor, a = scope.activation(call.args[0])
    if not constant_operand(call.args[1], scope):
        b_tensor, b = scope.activation(call.args[1])
        if bias is not None:
            raise Unfit("a constant is added to a product of two activations")
        return Match(MatMul(a, b, None, None, y, clamp), (a_tensor, b_tensor))
    weight, b = _matrix(call.args[1], scope)
    shape = (weight.shape[1], call.ty.ndim - 1, call.ty.ndim)
    real = None if bias is None else scope.constant(bias)
    vector: np.ndarray | None = None
    if real is not None and y is None:
        vector = _vector(real, *shape)  # a float result takes its float bias as it is
    elif bias is not None:
        vector = _bias(bias, *shape, a, b, scope)
    return Match(MatMul(a, b, weight, vector, y, clamp), (a_tensor,))


def _dynamic_matmul(call: relax.Call, a: Quantized, bias: Expr | None, y: QParams | None, scope: Scope) -> Match:
    """The left operand's scale and zero point are computed at run time; the result is float."""
    if y is not None:
        raise Unfit("its input's scale is computed at run time, its result's is not")
    weight, b = _matrix(call.args[1], scope)
    if not is_8bit(np.dtype(str(a.tensor.ty.dtype))) or a.scale.ty.ndim != 0 or a.zero_point.ty.ndim != 0:
        raise Unfit("its input is not quantized per tensor to 8 bits")
    vector = None
    if bias is not None:
        values = scope.constant(bias)
        if values is None:
            raise Unfit("its bias is quantized, but its input's scale is computed at run time")
        vector = _vector(values, weight.shape[1], call.ty.ndim - 1, call.ty.ndim)
    return Match(MatMul(None, b, weight, vector, None, NO_CLAMP), (a.tensor, a.scale, a.zero_point))


def _weight_only(
    call: relax.Call, matrix: tuple[np.ndarray, np.ndarray, np.ndarray], bias: Expr | None, scope: Scope
) -> Match:
    """The left operand is float, the right one a constant: see ``blocked_matrix``."""
    weight, scale, zero_point = matrix
    vector = None
    if not isinstance(call.args[0], Var):
        raise Unfit("its input is a constant")
    if bias is not None:
        values = scope.constant(bias)
        if values is None:
            raise Unfit("its bias is quantized, but its input is float")
        vector = _vector(values, weight.shape[1], call.ty.ndim - 1, call.ty.ndim)
    return Match(WeightOnly(weight, scale, zero_point, vector), (call.args[0],))


def _matrix(expr: Expr, scope: Scope) -> tuple[np.ndarray, QParams]:
    weight, b = scope.weight(expr)
    if weight.ndim != 2:
        raise Unfit(f"its weight has {weight.ndim} dimensions")
    if b.axis not in (None, 1):
        raise Unfit("its weight is quantized along the reduced axis, not per output column")
    return weight, b


def _vector(array: np.ndarray, length: int, axis: int, rank: int) -> np.ndarray:
    """A constant that is added along ``axis`` of a tensor of ``rank`` dimensions, as [length]."""
    shape = (1,) * (rank - array.ndim) + array.shape
    if len(shape) != rank or shape[axis] not in (1, length) or array.size != shape[axis]:
        raise Unfit("the constant added to it is not one value per output channel")
    return np.broadcast_to(array.reshape(-1), (length,)).copy()


def _bias(expr: Expr | None, length: int, axis: int, rank: int, x: QParams, w: QParams, scope: Scope) -> np.ndarray:
    """The bias as int32 [length] in units of ``x.scale * w.scale``.

    An int32 bias whose scale is that product (within 1 %) is taken as it is, as ONNX Runtime does, with the other sign
    where that is the product's; any other constant is rounded to it, half to even.
    """
    if expr is None:
        return np.zeros(length, np.int32)
    unit = (x.scale * w.scale).astype(np.float32)
    found = scope.quantized(expr)
    array = scope.constant(expr if found is None else found.tensor)
    if array is None or (found is not None and found.params is None):
        raise Unfit("its bias is computed")
    if found is None:
        real = _vector(array, length, axis, rank)
    else:
        params = found.params
        assert params is not None
        scale, zero_point = params.along(array.ndim)
        values = _vector(array.astype(np.int64) - zero_point.astype(np.int64), length, axis, rank)
        scales = _vector(np.broadcast_to(scale, array.shape), length, axis, rank)
        if np.allclose(np.abs(scales), unit, rtol=1e-2, atol=0):
            return np.where(scales < 0, -values, values).astype(np.int32)
        real = values * scales
    integer = np.rint(real.astype(np.float32) / unit)
    if not np.all(np.abs(integer) < 2.0**31):
        raise Unfit("its bias does not fit 32 bits")
    return integer.astype(np.int32)

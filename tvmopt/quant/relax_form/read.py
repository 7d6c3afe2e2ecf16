"""Relax expression -> region: the one parser, used on whole graphs (grouping) and on composite bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import relax

from .. import softmax
from ..params import QParams
from ..reference import quantize
from ..regions import (
    ArgMax,
    Binary,
    Clamp,
    Concat,
    Conv,
    Dequantize,
    MatMul,
    Pool,
    Quantize,
    Region,
    Softmax,
    WeightOnly,
)
from .scope import Expr, Quantized, Scope, Unfit, Var, is_8bit, op_name, static_shape
from .table import read_table
from .weight_only import blocked_matrix

CONV = ("relax.nn.conv1d", "relax.nn.conv2d")
CONV_TRANSPOSE = ("relax.nn.conv1d_transpose", "relax.nn.conv2d_transpose")
AVERAGE = tuple(f"relax.nn.avg_pool{rank}d" for rank in (1, 2, 3))
MAXIMUM = tuple(f"relax.nn.max_pool{rank}d" for rank in (1, 2, 3))
GLOBAL = ("relax.mean", *(f"relax.nn.adaptive_avg_pool{rank}d" for rank in (1, 2, 3)))
CHANNELS_FIRST = ("NCW", "NCHW", "NCDHW")
BINARY = {"relax.add": "add", "relax.subtract": "sub", "relax.multiply": "mul"}
HEAVY = ("relax.matmul", *CONV, *CONV_TRANSPOSE)
"""Ops with multiply-accumulates: worth an int8 region even where their result stays float."""

NO_CLAMP: Clamp = (0, 0)
"""The ``clamp`` of regions with a float result, which has none."""


@dataclass(frozen=True)
class Match:
    """A region found in a graph, and the tensors it is applied to, in the order of its parameters."""

    region: Region
    inputs: tuple[Expr, ...]


def read(expr: Expr, scope: Scope) -> Match:
    """The region that computes ``expr``.

    Raises Unfit, with the reason, when what computes it (as far as ``scope`` shows) is not one region.
    """
    call = scope.value(expr)
    if not isinstance(call, relax.Call):
        raise Unfit("it is not computed by an operator")
    if op_name(call) == "relax.quantize":
        return _quantized(call, scope)
    if op_name(call) == "relax.dequantize":
        tensor, params = scope.activation(expr) if _per_tensor(call, scope) else _per_channel(expr, scope)
        return Match(Dequantize(params), (tensor,))
    if op_name(call) == "relax.argmax":
        return _argmax(call, scope)
    biased = _split_bias(expr, scope)
    if biased is None:
        raise Unfit(f"{op_name(call).removeprefix('relax.')} has no int8 form with a float result")
    return _multiply_accumulate(*biased, None, NO_CLAMP, scope)


def _per_tensor(call: relax.Call, scope: Scope) -> bool:
    params = scope.params(call, call.args[0])
    return params is None or params.axis is None


def _per_channel(expr: Expr, scope: Scope) -> tuple[Var, QParams]:
    found = scope.quantized(expr)
    assert found is not None
    assert found.params is not None
    if not isinstance(found.tensor, Var) or not is_8bit(found.params.dtype):
        raise Unfit("it is not an 8-bit activation")
    return found.tensor, found.params


def _quantized(call: relax.Call, scope: Scope) -> Match:
    """Read ``quantize(...)``."""
    y = scope.params(call, call.args[0])
    if y is None:
        raise Unfit("its scale is computed at run time")
    if not is_8bit(y.dtype):
        raise Unfit(f"it is quantized to {y.dtype}, not to 8 bits")
    value = scope.value(call.args[0])
    if isinstance(value, Var):
        return Match(Quantize(y), (value,))
    if y.axis is not None:
        raise Unfit("its result is quantized per channel")
    inner, clamp = _split_clamp(call.args[0], y, scope)
    biased = _split_bias(inner, scope)
    if biased is not None:
        return _multiply_accumulate(*biased, y, clamp, scope)
    core = scope.value(inner)
    name = op_name(core) if isinstance(core, relax.Call) else ""
    if name in BINARY and all(_is_operand(arg, scope) for arg in core.args):
        return _binary(core, y, clamp, scope)
    if name in (*AVERAGE, *MAXIMUM, *GLOBAL):
        return _pool(core, y, clamp, scope)
    if name == "relax.concat":
        return _concat(core, y, clamp, scope)
    if name == "relax.nn.softmax":
        return _softmax(core, y, clamp, scope)
    return Match(*read_table(call.args[0], y, scope))


def _split_clamp(expr: Expr, y: QParams, scope: Scope) -> tuple[Expr, Clamp]:
    """Take relu, clip, maximum and minimum off ``expr``: exact in the quantized domain, as rounding is monotone."""
    bounds = []
    while (found := _bounds(expr, scope)) is not None:
        expr = found[0]
        bounds.append(quantize(np.asarray(found[1:], np.float32), y).astype(int))
    low, high = y.range
    for least, most in reversed(bounds):
        low, high = (int(min(max(value, least), most)) for value in (low, high))
    return expr, (low, high)


def _bounds(expr: Expr, scope: Scope) -> tuple[Expr, float, float] | None:
    """Operand and bounds of a clamping op."""
    call = scope.value(expr)
    name = op_name(call) if isinstance(call, relax.Call) else ""
    if name == "relax.nn.relu":
        return call.args[0], 0.0, np.inf
    if name == "relax.nn.relu6":
        return call.args[0], 0.0, 6.0
    if name == "relax.clip":
        return call.args[0], float(call.args[1].value), float(call.args[2].value)
    if name in ("relax.maximum", "relax.minimum"):
        for operand, other in (call.args, call.args[::-1]):
            bound = scope.scalar(other)
            if bound is not None:
                return (operand, bound, np.inf) if name == "relax.maximum" else (operand, -np.inf, bound)
    return None


def _split_bias(expr: Expr, scope: Scope) -> tuple[relax.Call, Expr | None] | None:
    """The convolution or matrix product that ``expr`` is, and the constant that is added to it, if any."""
    call = scope.call(expr, *HEAVY)
    if call is not None:
        return call, None
    add = scope.call(expr, "relax.add")
    for operand, other in (add.args, add.args[::-1]) if add is not None else ():
        call = scope.call(operand, *HEAVY)
        if call is not None and _constant_operand(other, scope):
            return call, other
    return None


def _constant_operand(expr: Expr, scope: Scope) -> bool:
    found = scope.quantized(expr)
    return scope.constant(found.tensor if found is not None else expr) is not None


def _multiply_accumulate(call: relax.Call, bias: Expr | None, y: QParams | None, clamp: Clamp, scope: Scope) -> Match:
    if str(call.ty.dtype) != "float32":
        raise Unfit(f"it computes in {call.ty.dtype}, not in float32")
    if op_name(call) == "relax.matmul":
        return _matmul(call, bias, y, clamp, scope)
    return _conv(call, bias, y, clamp, scope)


def _conv(call: relax.Call, bias: Expr | None, y: QParams | None, clamp: Clamp, scope: Scope) -> Match:
    attrs = call.attrs
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
    integer_bias = _bias(bias, outputs, 1, rank, x, w, scope)
    region = Conv(
        x, w, weight, integer_bias, y, clamp,
        strides=_ints(attrs.strides), padding=_ints(attrs.padding), dilations=_ints(attrs.dilation), groups=groups,
        transposed=transposed, output_padding=_ints(attrs.output_padding) if transposed else (),
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
    if not _constant_operand(call.args[1], scope):
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

    An int32 bias whose scale is that product (within 1 %) is taken as it is, as ONNX Runtime does; any other
    constant is rounded to it, half to even.
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
        if np.allclose(scales, unit, rtol=1e-2, atol=0):
            return values.astype(np.int32)
        real = values * scales
    integer = np.rint(real.astype(np.float32) / unit)
    if not np.all(np.abs(integer) < 2.0**31):
        raise Unfit("its bias does not fit 32 bits")
    return integer.astype(np.int32)


def _is_operand(expr: Expr, scope: Scope) -> bool:
    """Whether expr is a quantized activation, or a quantized constant of more than one element."""
    found = scope.quantized(expr)
    if found is None:
        return False
    array = scope.constant(found.tensor)
    return array is None or array.size > 1


def _binary(call: relax.Call, y: QParams, clamp: Clamp, scope: Scope) -> Match:
    op = BINARY[op_name(call)]
    first, second = call.args
    if _constant_operand(first, scope) and op != "sub":
        first, second = second, first
    a_tensor, a = scope.activation(first)
    if not _constant_operand(second, scope):
        b_tensor, b = scope.activation(second)
        return Match(Binary(op, a, b, None, y, clamp), (a_tensor, b_tensor))
    constant, b = scope.weight(second)
    if b.axis is not None:
        raise Unfit("one of its operands is a constant that is quantized per channel")
    return Match(Binary(op, a, b, constant, y, clamp), (a_tensor,))


def _pool(call: relax.Call, y: QParams, clamp: Clamp, scope: Scope) -> Match:
    tensor, x = scope.activation(call.args[0])
    if clamp != y.range:
        raise Unfit("a clamp follows it before it is quantized")
    if op_name(call) in MAXIMUM and not x.same(y):
        raise Unfit("its result is quantized with other parameters than its input")
    region = _global_pool(call, x, y) if op_name(call) in GLOBAL else _windowed_pool(call, x, y)
    return Match(region, (tensor,))


def _windowed_pool(call: relax.Call, x: QParams, y: QParams) -> Pool:
    attrs = call.attrs
    if str(attrs.layout) not in CHANNELS_FIRST or str(attrs.out_layout) != str(attrs.layout):
        raise Unfit(f"its layout is {attrs.layout}, not channels first")
    average = op_name(call) in AVERAGE
    return Pool(
        "average" if average else "max", x, y, _ints(attrs.pool_size), _ints(attrs.strides), _ints(attrs.padding),
        _ints(attrs.dilation), bool(attrs.ceil_mode), average and bool(attrs.count_include_pad),
    )  # fmt: skip


def _global_pool(call: relax.Call, x: QParams, y: QParams) -> Pool:
    """A reduction of all spatial axes, as a pooling with one window."""
    attrs = call.attrs
    shape = list(call.args[0].ty.shape)
    if op_name(call) in ("relax.mean", "relax.max"):
        axes = sorted(int(axis) % len(shape) for axis in attrs.axis) if attrs.axis is not None else []
        if axes != list(range(2, len(shape))) or not axes or not attrs.keepdims:
            raise Unfit("it reduces other axes than the spatial ones")
    elif any(int(size) != 1 for size in attrs.output_size) or str(attrs.layout) not in CHANNELS_FIRST:
        raise Unfit("it is an adaptive pooling to more than one element")
    if not all(hasattr(size, "value") for size in shape[2:]):
        raise Unfit("it reduces a symbolic dimension")
    ones = (1,) * (len(shape) - 2)
    op = "max" if op_name(call) == "relax.max" else "average"
    return Pool(op, x, y, _ints(shape[2:]), ones, (0,) * (2 * len(ones)), ones)


def max_pool(call: relax.Call) -> Match:
    """Max pooling of an 8-bit tensor, whose scale and zero point do not matter: any are right."""
    tensor = call.args[0]
    dtype = np.dtype(str(call.ty.dtype))
    if not isinstance(tensor, Var) or not is_8bit(dtype):
        raise Unfit("its input is float")
    any_params = QParams.per_tensor(1.0, 0, str(dtype))
    region = (_global_pool if op_name(call) == "relax.max" else _windowed_pool)(call, any_params, any_params)
    return Match(region, (tensor,))


def _concat(call: relax.Call, y: QParams, clamp: Clamp, scope: Scope) -> Match:
    if clamp != y.range:
        raise Unfit("a clamp follows it before it is quantized")
    found = [scope.activation(field) for field in call.args[0].fields]
    axis = int(call.attrs.axis) % call.ty.ndim
    return Match(Concat(tuple(p for _, p in found), y, axis), tuple(tensor for tensor, _ in found))


def _softmax(call: relax.Call, y: QParams, clamp: Clamp, scope: Scope) -> Match:
    tensor, x = scope.activation(call.args[0])
    if clamp != y.range:
        raise Unfit("a clamp follows it before it is quantized")
    axis = int(call.attrs.axis) % call.ty.ndim
    shape = static_shape(call.ty)
    if shape is None or shape[axis] > softmax.MOST:
        raise Unfit(f"its axis is symbolic, or longer than the {softmax.MOST} elements that its int8 form takes")
    if y.scale < softmax.FINEST:
        raise Unfit(f"its output's scale is below the {softmax.FINEST} that its int8 form takes")
    return Match(Softmax(x, y, axis), (tensor,))


def _argmax(call: relax.Call, scope: Scope) -> Match:
    tensor, x = scope.activation(call.args[0])
    if call.attrs.axis is None:
        raise Unfit("it looks for the largest of all elements")
    return Match(ArgMax(x, int(call.attrs.axis) % call.args[0].ty.ndim, bool(call.attrs.keepdims)), (tensor,))


def _ints(values: Expr) -> tuple[int, ...]:
    return tuple(int(value) for value in values)

"""Relax expression -> region: the one parser, used on whole graphs (grouping) and on composite bodies."""

from __future__ import annotations

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
    Dequantize,
    Pool,
    Quantize,
    Softmax,
)
from .products import CHANNELS_FIRST, NO_CLAMP, constant_operand, multiply_accumulate, split_bias
from .scope import Expr, Match, Scope, Unfit, Var, ints, is_8bit, op_name, static_shape
from .table import read_table

AVERAGE = tuple(f"relax.nn.avg_pool{rank}d" for rank in (1, 2, 3))
MAXIMUM = tuple(f"relax.nn.max_pool{rank}d" for rank in (1, 2, 3))
GLOBAL = ("relax.mean", *(f"relax.nn.adaptive_avg_pool{rank}d" for rank in (1, 2, 3)))
BINARY = {"relax.add": "add", "relax.subtract": "sub", "relax.multiply": "mul"}


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
    biased = split_bias(expr, scope)
    if biased is None:
        raise Unfit(f"{op_name(call).removeprefix('relax.')} has no int8 form with a float result")
    return multiply_accumulate(biased, None, NO_CLAMP, scope)


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
    biased = split_bias(inner, scope)
    if biased is not None:
        return multiply_accumulate(biased, y, clamp, scope)
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
    if constant_operand(first, scope) and op != "sub":
        first, second = second, first
    a_tensor, a = scope.activation(first)
    if not constant_operand(second, scope):
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
        "average" if average else "max", x, y, ints(attrs.pool_size), ints(attrs.strides), ints(attrs.padding),
        ints(attrs.dilation), bool(attrs.ceil_mode), average and bool(attrs.count_include_pad),
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
    return Pool(op, x, y, ints(shape[2:]), ones, (0,) * (2 * len(ones)), ones)


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

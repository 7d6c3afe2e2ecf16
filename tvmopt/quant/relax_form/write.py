"""Region -> Relax function: the canonical float body of a composite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch

import numpy as np
from tvm import relax

from ..params import QParams
from ..reference import dequantize as dequantize_array
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
    Table,
    WeightOnly,
)
from .scope import Expr, Var

REQUANTIZE = "tvmopt.requantize"
"""Attribute of a composite: the ``requantize`` of its region, where that is not the default."""


def to_function(region: Region, types: Sequence[relax.TensorType], name: str = "y") -> relax.Function:
    """The private function, marked ``Composite``, that computes ``region`` in float.

    types : of the region's inputs, in order.
    name  : of the variable that holds the result.
    """
    params = [Var(f"x{i}", type_) for i, type_ in enumerate(types)]
    function = composite(region.kind, params, lambda body: _write(region, body, *params), name)
    return function if region.requantize == "float" else function.with_attr(REQUANTIZE, region.requantize)


def composite(
    kind: str, params: Sequence[Var], write: Callable[[relax.BlockBuilder], Expr], name: str
) -> relax.Function:
    """A function marked as a composite; ``write(builder)`` emits its body and returns the result."""
    builder = relax.BlockBuilder()
    with builder.function("main", list(params), attrs={"Composite": f"tvmopt.{kind}"}, private=True):
        with builder.dataflow():
            result = builder.emit_output(write(builder), name_hint=name)
        builder.emit_func_output(result)
    (function,) = builder.finalize().functions.values()  # of another name where the result is called "main"
    return function


def dequantized(x: Expr, p: QParams) -> Expr:
    """``R.dequantize`` of an expression."""
    axis = -1 if p.axis is None else p.axis
    return relax.op.dequantize(x, relax.const(p.scale), relax.const(p.zero_point), axis, "float32")


def quantized(x: Expr, p: QParams) -> Expr:
    """``R.quantize`` of an expression."""
    axis = -1 if p.axis is None else p.axis
    return relax.op.quantize(x, relax.const(p.scale), relax.const(p.zero_point), axis, str(p.dtype))


def _finish(body: relax.BlockBuilder, value: Expr, y: QParams | None, clamp: Clamp) -> Expr:
    """Clamp, in real numbers, and quantize."""
    if y is None:
        return value
    value = body.emit(value)
    if clamp != y.range:
        low, high = dequantize_array(np.asarray(clamp).astype(y.dtype), y)
        value = body.emit(relax.op.clip(value, float(low), float(high)))
    return quantized(value, y)


@singledispatch
def _write(region: Region, body: relax.BlockBuilder, *inputs: Var) -> Expr:
    """The expression that computes ``region``; what it needs is emitted into ``body``."""
    raise TypeError(f"no Relax form for {type(region).__name__}")


@_write.register
def _(region: Quantize, body: relax.BlockBuilder, x: Var) -> Expr:
    return quantized(x, region.y)


@_write.register
def _(region: Dequantize, body: relax.BlockBuilder, x: Var) -> Expr:
    return dequantized(x, region.x)


@_write.register
def _(region: Conv, body: relax.BlockBuilder, x: Var) -> Expr:
    rank = region.weight.ndim
    data = body.emit(dequantized(x, region.x))
    weight = body.emit(dequantized(relax.const(region.weight), region.w))
    layout = {"data_layout": ("NCW", "NCHW")[rank - 3]}
    geometry = (list(region.strides), list(region.padding))
    if region.transposed:
        op = (relax.op.nn.conv1d_transpose, relax.op.nn.conv2d_transpose)[rank - 3]
        layout["kernel_layout"] = ("IOW", "IOHW")[rank - 3]
        extra = list(region.output_padding)
        value = op(data, weight, *geometry, extra, list(region.dilations), region.groups, **layout)
    else:
        op = (relax.op.nn.conv1d, relax.op.nn.conv2d)[rank - 3]
        layout["kernel_layout"] = ("OIW", "OIHW")[rank - 3]
        value = op(data, weight, *geometry, list(region.dilations), region.groups, **layout)
    if region.bias.any():
        column = region.bias.reshape(1, -1, *(1,) * (rank - 2))
        value = relax.op.add(body.emit(value), body.emit(_bias(relax.const(column), 1, region.x, region.w)))
    if region.border is not None:
        image: Expr = relax.const(region.border.values[None])
        for axis, index in enumerate(region.border.index, 2):
            image = body.emit(relax.op.take(image, relax.const(index), axis))
        value = relax.op.add(body.emit(value), body.emit(_bias(image, 1, region.x, region.w)))
    return _finish(body, value, region.y, region.clamp)


@_write.register
def _(region: MatMul, body: relax.BlockBuilder, a: Var, *rest: Var) -> Expr:
    if region.a is None:
        scale, zero_point, *others = rest
        left = body.emit(relax.op.dequantize(a, scale, zero_point, -1, "float32"))
    else:
        others = list(rest)
        left = body.emit(dequantized(a, region.a))
    right = relax.const(region.weight) if region.weight is not None else others[0]
    value = relax.op.matmul(left, body.emit(dequantized(right, region.b)))
    if region.bias is not None and region.bias.dtype == np.float32:
        value = relax.op.add(body.emit(value), relax.const(region.bias))
    elif region.bias is not None:
        assert region.a is not None
        value = relax.op.add(body.emit(value), body.emit(_bias(relax.const(region.bias), 0, region.a, region.b)))
    return _finish(body, value, region.y, region.clamp)


@_write.register
def _(region: WeightOnly, body: relax.BlockBuilder, a: Var) -> Expr:
    """A row of the quantized constant is a block, so that its parameters go along an axis."""
    length, outputs = region.weight.shape
    blocks = np.ascontiguousarray(region.weight.T).reshape(region.scale.size, -1)
    params = QParams(region.scale.T.reshape(-1), region.zero_point.T.reshape(-1), 0)
    rows = body.emit(dequantized(relax.const(blocks), params))
    right = body.emit(relax.op.permute_dims(body.emit(relax.op.reshape(rows, (outputs, length)))))
    value = relax.op.matmul(a, right)
    return value if region.bias is None else relax.op.add(body.emit(value), relax.const(region.bias))


def _bias(values: Expr, axis: int, x: QParams, w: QParams) -> Expr:
    """An int32 bias in units of ``x.scale * w.scale``, dequantized."""
    scale = (x.scale * w.scale).astype(np.float32)
    return dequantized(values, QParams(scale, np.zeros(scale.shape, np.int32), axis if scale.ndim else None))


@_write.register
def _(region: Binary, body: relax.BlockBuilder, a: Var, *rest: Var) -> Expr:
    op = {"add": relax.op.add, "sub": relax.op.subtract, "mul": relax.op.multiply}[region.op]
    second = relax.const(region.constant) if region.constant is not None else rest[0]
    value = op(body.emit(dequantized(a, region.a)), body.emit(dequantized(second, region.b)))
    return _finish(body, value, region.y, region.clamp)


@_write.register
def _(region: Pool, body: relax.BlockBuilder, x: Var) -> Expr:
    rank = len(region.kernel)
    op = getattr(relax.op.nn, f"{'max' if region.op == 'max' else 'avg'}_pool{rank}d")
    geometry = (list(region.kernel), list(region.strides), list(region.padding), list(region.dilations))
    value = op(body.emit(dequantized(x, region.x)), *geometry, region.ceil_mode, region.count_include_pad)
    return quantized(body.emit(value), region.y)


@_write.register
def _(region: Concat, body: relax.BlockBuilder, *xs: Var) -> Expr:
    parts = [body.emit(dequantized(x, p)) for x, p in zip(xs, region.xs, strict=True)]
    return quantized(body.emit(relax.op.concat(parts, region.axis)), region.y)


@_write.register
def _(region: Softmax, body: relax.BlockBuilder, x: Var) -> Expr:
    return quantized(body.emit(relax.op.nn.softmax(body.emit(dequantized(x, region.x)), region.axis)), region.y)


@_write.register
def _(region: ArgMax, body: relax.BlockBuilder, x: Var) -> Expr:
    return relax.op.argmax(body.emit(dequantized(x, region.x)), region.axis, region.keepdims)


@_write.register
def _(region: Table, body: relax.BlockBuilder, x: Var) -> Expr:
    """A lookup of the dequantized table at the index that x's real value stands for."""
    steps = body.emit(relax.op.divide(body.emit(dequantized(x, region.x)), relax.const(region.x.scale)))
    first = np.float32(int(region.x.zero_point) - region.x.range[0])
    index = body.emit(relax.op.add(body.emit(relax.op.round(steps)), relax.const(first)))
    values = relax.const(dequantize_array(region.table, region.y))
    return quantized(body.emit(relax.op.take(values, body.emit(relax.op.astype(index, "int32")), axis=0)), region.y)

"""Ops that only move elements: they run on tensors as they are stored, with their axes renamed to match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tvm import relax

from ..quant.order import Order
from .storage import Value, fetch, original, reshaped

Move = Callable[[relax.BlockBuilder, relax.Call, Value], Value | list[Value] | None]


def move(builder: relax.BlockBuilder, call: relax.Call, values: list[Value]) -> Value | list[Value] | None:
    """Emit a call whose tensor operands are ``values``; None when it is not a move that knows storages."""
    name = call.op.name
    if name == "relax.concat":
        return _concat(builder, call, values)
    if name in _PLAIN:
        return _plain(builder, call, values)
    return _MOVES[name](builder, call, values[0]) if name in _MOVES else None


def _concat(builder: relax.BlockBuilder, call: relax.Call, values: list[Value]) -> Value:
    order, dtype = values[0].first
    parts = [fetch(builder, value, order, dtype) for value in values]
    axis = int(call.attrs.axis) % len(order)
    return _emit(builder, call, order, dtype, relax.op.concat(parts, order.index(axis)))


def _reshape(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> Value:
    return reshaped(builder, value, _shape(call))


def _permute_dims(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> Value:
    rank = len(value.shape)
    axes = call.attrs.axes
    return value.permuted(range(rank)[::-1] if axes is None else [int(axis) % rank for axis in axes])


def _strided_slice(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> Value:
    order, dtype = value.first
    axes, *bounds = call.args[1:]
    places = [order.index(int(axis) % len(order)) for axis in axes]
    expr = fetch(builder, value, order, dtype)
    return _emit(
        builder,
        call,
        order,
        dtype,
        relax.op.strided_slice(expr, places, *bounds, assume_inbound=call.attrs.assume_inbound),
    )


def _split(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> list[Value]:
    order, dtype = value.first
    sections = call.attrs.indices_or_sections
    count = int(sections) if isinstance(sections, int) or hasattr(sections, "value") else [int(at) for at in sections]
    axis = order.index(int(call.attrs.axis) % len(order))
    parts = builder.emit(relax.op.split(fetch(builder, value, order, dtype), count, axis))
    shapes = [tuple(int(dim) for dim in field.shape) for field in call.ty.fields]
    return [
        Value(shape, value.dtype, {(order, dtype): builder.emit(relax.TupleGetItem(parts, i))})
        for i, shape in enumerate(shapes)
    ]


def _pad(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> Value:
    order, dtype = value.first
    widths = [int(width) for axis in order for width in call.attrs.pad_width[2 * axis : 2 * axis + 2]]
    fill = call.attrs.pad_value + (0 if dtype == value.dtype else 128 if dtype == "uint8" else -128)
    expr = fetch(builder, value, order, dtype)
    return _emit(builder, call, order, dtype, relax.op.nn.pad(expr, widths, call.attrs.pad_mode, fill))


def _resize2d(builder: relax.BlockBuilder, call: relax.Call, value: Value) -> Value | None:
    """Nearest neighbour; what interpolates is arithmetic."""
    attrs = call.attrs
    if attrs.method != "nearest_neighbor" or attrs.layout != "NCHW":
        return None
    stored = replace(value.stored, permuted=None)
    expr = fetch(builder, value, stored.order, stored.dtype)
    layout = "NHWC" if stored.channels_last else "NCHW"
    roi = [float(edge) for edge in attrs.roi]
    resized = relax.op.image.resize2d(
        expr, call.args[1], roi, layout, attrs.method, attrs.coordinate_transformation_mode, attrs.rounding_method
    )
    return _emit(builder, call, stored.order, stored.dtype, resized)


def _plain(builder: relax.BlockBuilder, call: relax.Call, values: list[Value]) -> Value:
    """An op that copies elements of its first operand without looking at them; in ONNX order."""
    data, *rest = values
    order, dtype = tuple(range(len(data.shape))), data.first[1]
    args = [fetch(builder, data, order, dtype), *(original(builder, value) for value in rest)]
    expr = relax.Call(call.op, [*args, *call.args[len(args) :]], call.attrs)
    return _emit(builder, call, tuple(range(len(_shape(call)))), dtype, expr)


_PLAIN = {
    f"relax.{name}" for name in ("broadcast_to", "flip", "gather_elements", "gather_nd", "repeat", "take", "tile")
}

_MOVES: dict[str, Move] = {
    "relax.reshape": _reshape,
    "relax.flatten": _reshape,
    "relax.expand_dims": _reshape,
    "relax.squeeze": _reshape,
    "relax.permute_dims": _permute_dims,
    "relax.strided_slice": _strided_slice,
    "relax.split": _split,
    "relax.nn.pad": _pad,
    "relax.image.resize2d": _resize2d,
}


def _shape(call: relax.Call) -> tuple[int, ...]:
    return tuple(int(dim) for dim in call.ty.shape)


def _emit(builder: relax.BlockBuilder, call: relax.Call, order: Order, dtype: str, expr: relax.Expr) -> Value:
    """The result of a ``call`` that was built again as ``expr`` for that storage."""
    return Value(_shape(call), str(call.ty.dtype), {(order, dtype): builder.emit(expr)})

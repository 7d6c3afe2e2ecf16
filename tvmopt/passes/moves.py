"""Ops that only move values, or pick among them: they give the same result on quantized tensors."""

from __future__ import annotations

import math

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from ..quant.params import QParams
from ..quant.reference import dequantize, quantize
from ..quant.relax_form.scope import Expr, constant, op_name, static_shape

RESHAPES = ("relax.reshape", "relax.flatten", "relax.expand_dims", "relax.squeeze", "relax.nn.batch_flatten")
_ONE_OPERAND = (
    *RESHAPES, "relax.permute_dims", "relax.strided_slice", "relax.dynamic_strided_slice", "relax.split",
    "relax.take", "relax.gather_elements", "relax.gather_nd", "relax.tile", "relax.repeat", "relax.flip",
    "relax.broadcast_to", "relax.nn.pad", "relax.image.resize2d", "relax.nn.pixel_shuffle",
    "relax.nn.max_pool1d", "relax.nn.max_pool2d", "relax.nn.max_pool3d", "relax.max", "relax.min",
)  # fmt: skip


def moved(call: relax.Call) -> list[Expr] | None:
    """The operands whose values ``call`` moves; None when it does something else.

    Picking the largest or smallest of several values is a move too: dequantization is monotone.
    """
    name = op_name(call)
    if name in ("relax.concat", "relax.stack"):
        return list(call.args[0].fields) if isinstance(call.args[0], relax.Tuple) else None
    if name in ("relax.maximum", "relax.minimum"):
        return list(call.args)
    if name == "relax.where":
        return list(call.args[1:])
    if name == "relax.image.resize2d":
        attrs = call.attrs
        exact = attrs.method == "nearest_neighbor" and attrs.coordinate_transformation_mode != "tf_crop_and_resize"
        return [call.args[0]] if exact else None
    return [call.args[0]] if name in _ONE_OPERAND else None


def on(call: relax.Call, tensors: list[Expr], params: QParams) -> tuple[Expr, QParams] | None:
    """``call`` applied to quantized ``tensors`` that share ``params``, and the parameters of its result.

    None where it would not be exact: padding with a value that no quantized value stands for, or a move of
    the channels that a scale per channel belongs to.
    """
    name = op_name(call)
    moved_params = params
    if params.axis is not None:
        axis = _axis_after(call, params.axis)
        if axis is None:
            return None
        moved_params = QParams(params.scale, params.zero_point, axis)
    if name == "relax.nn.pad" and call.attrs.pad_mode == "constant":
        value = np.asarray(call.attrs.pad_value, np.float32)
        stored = quantize(value, params)
        if params.axis is not None or dequantize(stored, params) != value:
            return None
        return relax.op.nn.pad(tensors[0], call.attrs.pad_width, "constant", float(stored)), params
    if name in ("relax.concat", "relax.stack"):
        args = [relax.Tuple(tensors)]
    elif name == "relax.where":
        args = [call.args[0], *tensors]
    else:
        args = [*tensors, *call.args[len(tensors) :]]
    return fold(relax.Call(call.op, args, call.attrs, call.ty_args), call.ty), moved_params


def fold(call: Expr, like: relax.TensorType) -> Expr:
    """``call`` as a constant when it moves a constant without picking from it; ``like`` has its shape."""
    name = op_name(call)
    if not isinstance(call.args[0], GenericConst):
        return call
    array = call.args[0].value.numpy()
    if name == "relax.permute_dims":
        axes = call.attrs.axes
        return constant(np.ascontiguousarray(array.transpose(None if axes is None else [int(a) for a in axes])))
    shape = static_shape(like)
    if name in RESHAPES and shape is not None:
        return constant(array.reshape(shape))
    return call


def _axis_after(call: relax.Call, axis: int) -> int | None:
    """Where ``call`` moves ``axis`` to; None when it does not keep it whole."""
    name = op_name(call)
    rank = call.args[0].ty.ndim if isinstance(call.args[0].ty, relax.TensorType) else 0
    if name == "relax.permute_dims":
        axes = range(rank)[::-1] if call.attrs.axes is None else [int(a) % rank for a in call.attrs.axes]
        return list(axes).index(axis)
    if name in RESHAPES:
        before, after = static_shape(call.args[0].ty), static_shape(call.ty)
        if before is None or after is None:
            return None
        return next(
            (
                at
                for at, size in enumerate(after)
                if size == before[axis] and math.prod(after[:at]) == math.prod(before[:axis])
            ),
            None,
        )
    return None

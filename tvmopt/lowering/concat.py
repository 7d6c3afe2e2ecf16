"""Kernels of concatenation: one block for each input, requantizing what differs in scale or zero point."""

from __future__ import annotations

from math import prod

import numpy as np
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..quant.regions import Concat
from ..target import Target
from .dispatch import activation, as_stored, lower, wants
from .kernel import Kernel, Stored
from .quantize import dequantized, quantized


@wants.register
def _(region: Concat, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """All in one layout: channels last if the larger part of the data is."""
    last = sum(prod(held.shape) * (1 if held.channels_last else -1) for held in inputs) > 0
    return tuple(Stored(held.shape, held.dtype, last) for held in inputs)


@lower.register
def _(region: Concat, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    out = Stored(out_shape, activation(str(region.y.dtype), target), inputs[0].channels_last)
    y = as_stored(region.y, out)
    xs = [as_stored(params, held) for params, held in zip(region.xs, inputs, strict=True)]
    scales = np.array([[params.scale, y.scale] for params in xs], np.float32)
    zero_points = np.array([[params.zero_point, y.zero_point] for params in xs], np.int32)
    axis = out.order.index(region.axis)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True})
        tensors = [T.arg(f"x{i}", T.buffer(held.physical, held.dtype)) for i, held in enumerate(inputs)]
        scale = T.arg("scales", T.buffer(scales.shape, "float32"))
        zero_point = T.arg("zero_points", T.buffer(zero_points.shape, "int32"))
        result = T.arg("y", T.buffer(out.physical, out.dtype))
        begin = 0
        for i, (tensor, held, params) in enumerate(zip(tensors, inputs, xs, strict=True)):
            with T.grid(*held.physical) as loops, T.sblock(f"part{i}"):
                each = [loops] if len(held.shape) == 1 else loops
                place = [T.axis.spatial(size, loop) for size, loop in zip(held.physical, each, strict=True)]
                value = tensor[tuple(place)]
                if not params.same(y):
                    real = dequantized(value, scale[i, 0], zero_point[i, 0])
                    value = quantized(real / scale[i, 1], zero_point[i, 1], out.dtype)
                T.buffer_store(result, value, [at + begin if k == axis else at for k, at in enumerate(place)])
            begin += held.physical[axis]
    return Kernel(builder.get(), (scales, zero_points), out)

"""Operators of ai.onnx that say nothing at inference, or say it the long way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..fold import constant
from .builder import Builder, Rule


def _dropout(to: Builder) -> Sequence[ir.Value] | None:
    """Dropout -> Identity, and a mask of true, unless it is in training mode with a ratio other than 0."""
    ratio, training = to.input(1), to.input(2)
    if training is not None and not _is_zero(training) and not _is_zero(ratio):
        return None
    true = ir.tensor(np.array([True]))
    mask = to.op("ConstantOfShape", to.op("Shape", to.input(0)), value=true)
    return [to.op("Identity", to.input(0)), mask][: len(to.node.outputs)]


def _is_zero(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and not array.any()


def _cast_like(to: Builder) -> Sequence[ir.Value] | None:
    """CastLike(x, y) -> Cast(x) to the type of y."""
    like = to.input(1)
    if like is None or like.dtype is None:
        return None
    return [to.op("Cast", to.input(0), to=like.dtype, **to.kept())]


def _is_static(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()


def _conv_transpose(to: Builder) -> Sequence[ir.Value] | None:
    """ConvTranspose(output_shape) -> ConvTranspose(pads, output_padding) that give it (specification of opset 22)."""
    x, w = to.input(0), to.input(1)
    wanted = to.node.attributes.get_ints("output_shape")
    if wanted is None or not _is_static(x) or not _is_static(w):
        return None
    sizes, kernel = x.shape.numpy()[2:], w.shape.numpy()[2:]
    wanted = wanted[-len(sizes) :]
    ones, zeros = [1] * len(sizes), [0] * len(sizes)
    strides = to.node.attributes.get_ints("strides", ones)
    dilations = to.node.attributes.get_ints("dilations", ones)
    extra = to.node.attributes.get_ints("output_padding", zeros)
    total = [
        stride * (size - 1) + e + (k - 1) * d + 1 - want
        for size, k, stride, d, e, want in zip(sizes, kernel, strides, dilations, extra, wanted, strict=True)
    ]
    extra = [e + max(-pad, 0) for e, pad in zip(extra, total, strict=True)]  # nothing to cut off: rows to add
    total = [max(pad, 0) for pad in total]
    if to.node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER":
        begins = [pad // 2 for pad in total]
    else:
        begins = [pad - pad // 2 for pad in total]
    pads = [*begins, *(pad - begin for pad, begin in zip(total, begins, strict=True))]
    attributes = to.kept("output_shape", "auto_pad", "pads", "output_padding")
    return [to.op("ConvTranspose", *to.node.inputs, **attributes, pads=pads, output_padding=extra)]


def _transpose(to: Builder) -> Sequence[ir.Value] | None:
    """Transpose(DQ(weight)) -> DQ(transposed weight)."""
    found = _dequantized_weight(to.input(0))
    if found is None:
        return None
    node, weight = found
    perm = list(to.node.attributes.get_ints("perm", range(weight.ndim)[::-1]))
    return [_turned(to, node, weight, perm)]


def _gemm(to: Builder) -> Sequence[ir.Value] | None:
    """Gemm(A, DQ(weight), C, transB=1) -> Gemm(A, DQ(transposed weight), C)."""
    found = _dequantized_weight(to.input(1))
    if found is None or not to.node.attributes.get_int("transB", 0):
        return None
    return [to.op("Gemm", to.input(0), _turned(to, *found, [1, 0]), to.input(2), **to.kept("transB"))]


def _dequantized_weight(value: ir.Value | None) -> tuple[ir.Node, np.ndarray] | None:
    """The DequantizeLinear that gives ``value`` out of a constant, and that constant."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or node.attributes.get_int("block_size", 0):
        return None
    weight = constant(node.inputs[0])
    return None if weight is None else (node, weight)


def _turned(to: Builder, dequantize: ir.Node, weight: np.ndarray, perm: list[int]) -> ir.Value:
    axis = perm.index(dequantize.attributes.get_int("axis", 1) % weight.ndim)
    turned = to.constant(np.ascontiguousarray(weight.transpose(perm)))
    attributes = {name: attribute.value for name, attribute in dequantize.attributes.items()} | {"axis": axis}
    return to.op("DequantizeLinear", turned, *dequantize.inputs[1:], **attributes)


RULES: dict[str, Rule] = {
    "CastLike": _cast_like,
    "ConvTranspose": _conv_transpose,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "Transpose": _transpose,
}

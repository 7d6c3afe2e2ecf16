"""Sliding windows whose padding is given in words -> the same in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...errors import ModelError
from .builder import Builder, Rule, static_shape

_MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def _auto_pad(to: Builder) -> Sequence[ir.Value] | None:
    """op(auto_pad) -> op(pads), begins then ends; SAME means ceil(size / stride) windows (specification, opset 22)."""
    mode = to.node.attributes.get_string("auto_pad", "NOTSET")
    if mode not in _MODES:
        raise ModelError(f"auto_pad is '{mode}', one of {', '.join(_MODES)} is needed", node=to.node.name)
    if mode == "NOTSET":
        return None
    shape, weight = static_shape(to.input(0)), static_shape(to.input(1))
    kernel = to.node.attributes.get_ints("kernel_shape", weight and weight[2:])
    if shape is None or kernel is None:
        return None
    sizes, ones = shape[2:], [1] * len(kernel)
    strides = to.node.attributes.get_ints("strides", ones)
    dilations = to.node.attributes.get_ints("dilations", ones)
    total = [
        max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0) if mode != "VALID" else 0
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    small, large = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
    pads = [*large, *small] if mode == "SAME_LOWER" else [*small, *large]
    attributes = to.kept("auto_pad", "pads")
    return to.op_multi(to.node.op_type, to.node.inputs, len(to.node.outputs), **attributes, pads=pads)


def _conv_transpose(to: Builder) -> Sequence[ir.Value] | None:
    """ConvTranspose(output_shape) -> ConvTranspose(pads, output_padding) that give it (specification of opset 22)."""
    wanted = to.node.attributes.get_ints("output_shape")
    shape, weight = static_shape(to.input(0)), static_shape(to.input(1))
    if wanted is None or shape is None or weight is None:
        return None
    sizes, kernel = shape[2:], weight[2:]
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


RULES: dict[tuple[str, str], Rule] = {
    ("", "AveragePool"): _auto_pad,
    ("", "Conv"): _auto_pad,
    ("", "ConvInteger"): _auto_pad,
    ("", "ConvTranspose"): _conv_transpose,
    ("", "MaxPool"): _auto_pad,
}

"""Convolutions and matrix products as TOSA operators: int32 sums, one RESCALE, one CLAMP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tosa_serializer as ts

from ...quant.fixed import Scale
from ...quant.order import channels_last, plain
from ...quant.params import QParams
from ...quant.reference import multiplier
from ...quant.regions import Clamp, Conv, MatMul
from .graph import Graph, Tensor
from .value import Value, concatenated, fetch, image, of_image, signed, split


def conv(graph: Graph, region: Conv, x: Value, output: tuple[int, ...]) -> Value:
    """CONV2D, DEPTHWISE_CONV2D or TRANSPOSE_CONV2D; one spatial dimension is a row of an image.

    Of several groups, where it is not depthwise: one for each between SLICE and CONCAT of channels.
    """
    rank = len(output)
    if len(groups := by_group(region)) > 1:
        last = Value(fetch(graph, x, channels_last(rank)), channels_last(rank))
        inputs = split(graph, last, 1, [x.shape[1] // len(groups)] * len(groups))
        shape = (output[0], output[1] // len(groups), *output[2:])
        return concatenated(graph, [conv(graph, *one, shape) for one in zip(groups, inputs, strict=True)], 1)
    tensor = image(graph, x)
    weight = centered(region.weight, region.w)
    if rank == 3:
        weight = weight[:, :, None]
    begins, ends = in_plane(region.padding[: rank - 2], 0), in_plane(region.padding[rank - 2 :], 0)
    strides, dilations = in_plane(taken(region.strides, output), 1), in_plane(region.dilations, 1)
    height, width = in_plane(output[2:], 1)
    acc = (output[0], height, width, output[1])
    zero_points = [graph.constant(zp, "int8") for zp in (int(signed(region.x).zero_point), 0)]
    bias = graph.constant(region.bias, "int32")
    int32 = ts.DType.INT32
    if region.transposed:
        extra = in_plane(region.output_padding, 0) if region.output_padding else (0, 0)
        pads = [-begins[0], extra[0] - ends[0], -begins[1], extra[1] - ends[1]]
        w = graph.constant(weight.transpose(1, 2, 3, 0), "int8")
        operands = [tensor, w, bias, *zero_points]
        summed = graph.add(
            "TRANSPOSE_CONV2D", operands, acc, "int32", pads, list(in_plane(region.strides, 1)), False, int32
        )
        return of_image(graph, finish(graph, region, summed), rank)
    tensor, ends = exact(graph, tensor, weight.shape[2:], strides, dilations, begins, (height, width))
    pads = [begins[0], ends[0], begins[1], ends[1]]
    if depthwise(region):
        channels = region.groups
        order = weight.reshape(channels, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        op, w = "DEPTHWISE_CONV2D", graph.constant(order, "int8")
    else:
        op, w = "CONV2D", graph.constant(weight.transpose(0, 2, 3, 1), "int8")
    geometry = (pads, list(strides), list(dilations), False, int32)
    summed = graph.add(op, [tensor, w, bias, *zero_points], acc, "int32", *geometry)
    return of_image(graph, finish(graph, region, summed), rank)


def matmul(graph: Graph, region: MatMul, a: Value, others: Sequence[Value], output: tuple[int, ...]) -> Value:
    """With a constant matrix a CONV2D of one row of pixels; of two activations a MATMUL."""
    assert region.a is not None
    left = fetch(graph, a, plain(len(a.order)))
    zero_points = [int(signed(region.a).zero_point), 0]
    *lead, rows, columns = output
    if region.weight is None:
        zero_points[1] = int(signed(region.b).zero_point)
        right = fetch(graph, others[0], plain(len(others[0].order)))
        batch = int(np.prod(lead))
        operands = [graph.reshape(x, (batch, *x.shape[-2:])) for x in (left, right)]
        operands += [graph.constant(zp, "int8") for zp in zero_points]
        summed = graph.add("MATMUL", operands, (batch, rows, columns), "int32")
    else:
        pixels = int(np.prod(output[:-1]))
        weight = centered(region.weight, region.b).T[:, None, None]
        bias = np.zeros(columns, np.int32) if region.bias is None else region.bias
        operands = [graph.reshape(left, (1, 1, pixels, left.shape[-1])), graph.constant(weight, "int8")]
        operands += [graph.constant(bias, "int32"), *(graph.constant(zp, "int8") for zp in zero_points)]
        geometry = ([0, 0, 0, 0], [1, 1], [1, 1], False, ts.DType.INT32)
        summed = graph.add("CONV2D", operands, (1, 1, pixels, columns), "int32", *geometry)
    return Value.plain(graph.reshape(finish(graph, region, summed), output))


def finish(graph: Graph, region: Conv | MatMul, summed: Tensor) -> Tensor:
    """The 8-bit output of int32 sums whose last axis is the output channels'."""
    assert region.y is not None
    x, w = (region.x, region.w) if isinstance(region, Conv) else (region.a, region.b)
    assert x is not None
    return requantized(graph, summed, Scale.of(multiplier(x, w, region.y)), region.y, region.clamp)


def requantized(graph: Graph, x: Tensor, scale: Scale, y: QParams, clamp: Clamp) -> Tensor:
    """RESCALE of an int32 tensor to parameters ``y``, and CLAMP."""
    to = signed(y)
    lower = int(y.zero_point) - int(to.zero_point)
    scaled = graph.rescale(x, scale, 0, int(to.zero_point), "int8")
    return graph.clamp(scaled, clamp[0] - lower, clamp[1] - lower)


def centered(weight: np.ndarray, params: QParams) -> np.ndarray:
    """Weights minus their zero points, which have to fit int8 again."""
    values: np.ndarray = weight.astype(np.int16) - params.along(weight.ndim)[1].astype(np.int16)
    return values


def by_group(region: Conv) -> list[Conv]:
    """A convolution as those that TOSA has, side by side: one of each group; itself where it is depthwise."""
    if region.groups == 1 or depthwise(region):
        return [region]
    w = [region.w] * region.groups
    if region.w.axis is not None:  # never so for a transposed one
        scales, zero_points = (np.split(each, region.groups) for each in (region.w.scale, region.w.zero_point))
        w = [QParams(*each, region.w.axis) for each in zip(scales, zero_points, strict=True)]
    weights, biases = (np.split(each, region.groups) for each in (region.weight, region.bias))
    return [
        replace(region, w=params, weight=weight, bias=bias, groups=1)
        for params, weight, bias in zip(w, weights, biases, strict=True)
    ]


def depthwise(region: Conv) -> bool:
    """Whether every group has one input channel, and there are several."""
    return region.groups > 1 and region.weight.shape[1] == 1 and not region.transposed


def taken(strides: Sequence[int], output: tuple[int, ...]) -> list[int]:
    """Strides, 1 along axes with a single window, where there is no step: hardware limits them."""
    return [stride if size > 1 else 1 for stride, size in zip(strides, output[2:], strict=True)]


def in_plane(values: Sequence[int], missing: int) -> tuple[int, int]:
    """Values along height and width, where there may be no height."""
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def exact(
    graph: Graph,
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
    windows: Sequence[int],
) -> tuple[Tensor, tuple[int, int]]:
    """What windows reach of an image [N, H, W, C], and the padding behind it.

    TOSA wants windows to end exactly at the end of the padding; what no window reaches is cut off.
    """
    reach = [
        (count - 1) * stride + dilation * (size - 1) + 1 - begin
        for count, stride, dilation, size, begin in zip(windows, strides, dilations, kernel, begins, strict=True)
    ]
    have = x.shape[1:3]
    ends = [max(needed - size, 0) for needed, size in zip(reach, have, strict=True)]
    kept = [min(needed, size) for needed, size in zip(reach, have, strict=True)]
    return graph.slice(x, [0, 0, 0, 0], [x.shape[0], *kept, x.shape[3]]), (ends[0], ends[1])

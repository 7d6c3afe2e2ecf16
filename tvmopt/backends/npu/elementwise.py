"""Pooling, sums and products, tables and concatenation as TOSA operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tosa_serializer as ts

from ...quant.fixed import average_scale, binary_scales
from ...quant.order import Order
from ...quant.params import QParams
from ...quant.reference import counts, dequantize, quantize
from ...quant.regions import Binary, Concat, Pool, Table
from .contractions import exact, in_plane, requantized, taken
from .graph import Graph, Tensor
from .value import Value, concatenated, fetch, image, of_image, signed


def pool(graph: Graph, region: Pool, x: Value, output: tuple[int, ...]) -> Value:
    """MAX_POOL2D or AVG_POOL2D; an average whose scale is another is a sum, by a depthwise convolution with ones."""
    rank = len(output)
    spatial = len(region.kernel)
    begins = in_plane(region.padding[:spatial], 0)
    kernel, strides = in_plane(region.kernel, 1), in_plane(taken(region.strides, output), 1)
    height, width = in_plane(output[2:], 1)
    tensor, ends = exact(graph, image(graph, x), kernel, strides, (1, 1), begins, (height, width))
    pads = [begins[0], ends[0], begins[1], ends[1]]
    shape = (output[0], height, width, output[1])
    int32 = ts.DType.INT32
    if region.op == "max":
        mode = ts.NanPropagationMode.PROPAGATE
        result = graph.add("MAX_POOL2D", [tensor], shape, "int8", list(kernel), list(strides), pads, mode)
    elif not summed(region):
        zp = graph.constant(int(signed(region.x).zero_point), "int8")
        result = graph.add("AVG_POOL2D", [tensor, zp, zp], shape, "int8", list(kernel), list(strides), pads, int32)
    else:
        channels = output[1]
        ones = graph.constant(np.ones((*kernel, channels, 1)), "int8")
        zero_points = [graph.constant(zp, "int8") for zp in (int(signed(region.x).zero_point), 0)]
        operands = [tensor, ones, graph.constant(np.zeros(channels), "int32"), *zero_points]
        geometry = (pads, list(strides), [1, 1], False, int32)
        total = graph.add("DEPTHWISE_CONV2D", operands, shape, "int32", *geometry)
        (count,) = counts(region, x.shape, output).reshape(-1)
        result = requantized(graph, total, average_scale(region, np.asarray(count)), region.y, region.y.range)
    return of_image(graph, result, rank)


def summed(region: Pool) -> bool:
    """Whether an average is more than AVG_POOL2D does: to another scale, or counting its padding."""
    return not region.x.same(region.y) or (region.count_include_pad and any(region.padding))


def binary(graph: Graph, region: Binary, inputs: Sequence[Value]) -> Value:
    """ADD or SUB of operands rescaled to a common scale, or MUL of centered operands, in int32."""
    if region.constant is not None:
        stored = region.constant if region.b.dtype == "int8" else (region.constant ^ np.uint8(128)).view(np.int8)
        inputs = [*inputs, Value.plain(graph.constant(stored, "int8"))]
    rank = max(len(value.order) for value in inputs)
    largest = max(inputs, key=lambda value: (len(value.order), np.prod(value.shape)))
    a, b = (_expanded(graph, value, rank, largest.order) for value in inputs)
    left, right, out = binary_scales(region)
    wide = [
        graph.rescale(x, scale, int(signed(p).zero_point), 0, "int32")
        for x, scale, p in ((a, left, region.a), (b, right, region.b))
    ]
    shape = np.broadcast_shapes(a.shape, b.shape)
    op = region.op.upper()
    operands = [*wide, graph.constant(0, "int8")] if op == "MUL" else wide
    result = requantized(graph, graph.add(op, operands, shape, "int32"), out, region.y, region.clamp)
    return Value(result, largest.order)


def _expanded(graph: Graph, value: Value, rank: int, order: Order) -> Tensor:
    """A value with axes of size 1 before its own, in an order of that rank."""
    missing = rank - len(value.order)
    padded = (*range(missing), *(axis + missing for axis in value.order))
    tensor = graph.reshape(value.tensor, (*(1,) * missing, *value.tensor.shape))
    return fetch(graph, Value(tensor, padded), order)


def table(graph: Graph, region: Table, x: Value) -> Value:
    """TABLE, whose entries begin at -128."""
    return Value(_looked_up(graph, x.tensor, region.table), x.order)


def _looked_up(graph: Graph, x: Tensor, entries: np.ndarray) -> Tensor:
    stored = entries if entries.dtype == "int8" else (entries ^ np.uint8(128)).view(np.int8)
    return graph.add("TABLE", [x, graph.constant(stored, "int8")], x.shape, "int8")


def concat(graph: Graph, region: Concat, inputs: Sequence[Value]) -> Value:
    """CONCAT; inputs of other parameters go through a TABLE first."""
    parts = [
        value
        if params.same(region.y)
        else Value(_looked_up(graph, value.tensor, _entries(params, region.y)), value.order)
        for value, params in zip(inputs, region.xs, strict=True)
    ]
    return concatenated(graph, parts, region.axis)


def _entries(x: QParams, y: QParams) -> np.ndarray:
    low, high = x.range
    return quantize(dequantize(np.arange(low, high + 1).astype(x.dtype), x), y)

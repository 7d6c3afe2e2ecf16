"""What compares or sums the elements along an axis, as TOSA operators."""

from __future__ import annotations

import math

import numpy as np
import tosa_serializer as ts

from ...quant.fixed import Scale
from ...quant.order import Order
from ...quant.regions import ArgMax, Softmax
from ...quant.softmax import START, STEPS, TWO, exponentials, leading_zeros, output_scale
from .graph import Graph, Tensor
from .value import Value, fetch, signed

_NAN = ts.NanPropagationMode.PROPAGATE


def argmax(graph: Graph, region: ArgMax, x: Value, output: tuple[int, ...]) -> Value:
    """ARGMAX of the last axis: an Ethos-U55 or U65 compares nothing else."""
    rows = _rows(graph, x, region.axis)
    index = graph.add("ARGMAX", [rows], rows.shape[:1], "int32", 1, _NAN)
    return Value.plain(graph.reshape(index, output))


def softmax(graph: Graph, region: Softmax, x: Value) -> Value:
    """The steps of ``quant/softmax.py``; an exponential is put together of bytes from three TABLEs."""
    rows = _rows(graph, x, region.axis)
    size, sums = rows.shape[1], (rows.shape[0], 1)
    zeros = leading_zeros(size)
    largest = graph.add("REDUCE_MAX", [rows], sums, "int8", 1, _NAN)
    wide = [graph.rescale(tensor, _ONE, 0, 0, "int32") for tensor in (rows, largest)]
    index = graph.rescale(graph.add("SUB", wide, rows.shape, "int32"), _ONE, 0, 127, "int8")
    entries = exponentials(region, size)
    low, middle, high = (
        graph.rescale(_looked_up(graph, index, entries >> shift), Scale.of(2.0**shift), -128, 0, "int32")
        for shift in (0, 8, 16)
    )
    e = graph.add("ADD", [graph.add("ADD", [low, middle], rows.shape, "int32"), high], rows.shape, "int32")
    s = graph.add("REDUCE_SUM", [e], sums, "int32", 1)
    r = _reciprocal(graph, s, zeros)
    p = _product(graph, e, r, 31 - zeros)
    y = graph.rescale(p, output_scale(region), 0, int(signed(region.y).zero_point), "int8")
    order = _last(len(x.order), region.axis)
    return Value(graph.reshape(y, [x.shape[axis] for axis in order]), order)


_ONE = Scale.of(1.0)


def _looked_up(graph: Graph, index: Tensor, entries: np.ndarray) -> Tensor:
    """The lowest bytes of entries, 128 less."""
    table = graph.constant((entries & 255) - 128, "int8")
    return graph.add("TABLE", [index, table], index.shape, "int8")


def _reciprocal(graph: Graph, s: Tensor, zeros: int) -> Tensor:
    """``r`` of sums with at most so many leading zeros."""

    def of(op: str, a: Tensor | int, b: Tensor | int, *attributes: object) -> Tensor:
        operands = [_integer(graph, operand) for operand in (a, b)]
        return graph.add(op, operands, s.shape, "int32", *attributes)

    found = graph.add("CLZ", [s], s.shape, "int32")
    f = of("LOGICAL_LEFT_SHIFT", s, of("SUB", found, 1))
    r = of("SUB", START[0], _product(graph, f, START[1], 31))
    for _ in range(STEPS):
        r = _product(graph, r, of("SUB", TWO, _product(graph, f, r, 31)), 29)
    return of("ARITHMETIC_RIGHT_SHIFT", r, of("SUB", zeros, found), True)


def _product(graph: Graph, a: Tensor, b: Tensor | int, shift: int) -> Tensor:
    """MUL, ``a * b / 2**shift``."""
    operands = [a, _integer(graph, b), graph.constant(shift, "int8")]
    return graph.add("MUL", operands, a.shape, "int32")


def _integer(graph: Graph, value: Tensor | int) -> Tensor:
    """A tensor, or a number as one, of two dimensions."""
    return value if isinstance(value, Tensor) else graph.constant([[value]], "int32")


def _rows(graph: Graph, x: Value, axis: int) -> Tensor:
    """A value as [rows, elements along the axis]: Vela's ARGMAX for an Ethos-U55 or U65 takes neither batches nor five
    dimensions, and to others the shape makes no difference."""
    last = fetch(graph, x, _last(len(x.order), axis))
    return graph.reshape(last, (math.prod(last.shape[:-1]), last.shape[-1]))


def _last(rank: int, axis: int) -> Order:
    return (*(other for other in range(rank) if other != axis), axis)

"""The commands of each operator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import singledispatch
from typing import Protocol

import numpy as np

from ...quant import reference
from ...quant.params import QParams
from ...quant.regions import Binary, Concat, Conv, MatMul, Pool, Region, Table
from ...runtime.systolic import commands
from ...runtime.systolic.commands import Command, Quant
from ...target import Systolic
from .arrange import Arranged, Value
from .graph import Transpose
from .tiling import activations, cut, matrices, parameters


class Context(Protocol):
    """What a step's commands are written into.

    Attributes
    ----------
    tiles, columns : addresses for the next weights and the next parameters, each of two in turn.
    own            : address of the step's ``constants``, which are there when it begins.
    """

    machine: Systolic
    tiles: Iterator[int]
    columns: Iterator[int]

    @property
    def own(self) -> int: ...

    def add(self, command: Command) -> None:
        """Append a command."""
        ...

    def at(self, value: Value) -> int:
        """The address of a tensor."""
        ...

    def constant(self, data: bytes) -> int:
        """Append to the constants in DRAM; the offset."""
        ...


def constants(step: Arranged) -> bytes:
    """What a step needs on chip besides its tensors and weights: the second operand of a binary one, tables."""
    op = step.op
    if isinstance(op, Binary) and op.constant is not None:
        return _second(step, op).tobytes()
    if isinstance(op, Table):
        return _table(op.x, op.table)
    if isinstance(op, Concat):
        return b"".join(_requantizing(x, op.y) for x in op.xs if not x.same(op.y))
    return b""


@singledispatch
def write(op: Region | Transpose, step: Arranged, to: Context) -> None:
    """Append the commands that compute ``step``, whose operator is ``op``."""
    raise TypeError(f"no commands for {type(op).__name__}")


@write.register
def _(op: Conv, step: Arranged, to: Context) -> None:
    to.add(_window(step, op.x, op.weight.shape[2:], op.strides, op.dilations, op.padding, to))
    _contract(op, math.prod(step.output.shape) // step.output.shape[1], step, to)


@write.register
def _(op: MatMul, step: Arranged, to: Context) -> None:
    (x,) = step.inputs
    pixels = math.prod(x.shape[:-1])
    shape, one = (1, 1, pixels, x.shape[-1]), (1, 1)
    to.add(commands.Window(to.at(x), shape, _quant(activations(op)[0]), one, one, one, (0, 0, 0, 0), (1, pixels)))
    _contract(op, pixels, step, to)


def _contract(op: Conv | MatMul, pixels: int, step: Arranged, to: Context) -> None:
    """Output channels in pieces as wide as the array; of each, positions in pieces that the accumulators hold."""
    assert op.y is not None
    to.add(_output(step, op.y, op.clamp, to))
    multipliers, biases = parameters(op)
    for matrix in matrices(op, to.machine):
        rows = cut(len(matrix.weight), to.machine.rows)
        depth = pixels if len(rows) == 1 else to.machine.accumulator_kib * 1024 // (4 * to.machine.columns)
        for columns in cut(matrix.weight.shape[1], to.machine.columns):
            channels = slice(matrix.column + columns.first, matrix.column + columns.first + columns.count)
            at = next(to.columns)
            _fetch(multipliers[channels].tobytes() + biases[channels].tobytes(), at, to)
            blocks = [np.ascontiguousarray(matrix.weight[row.slice, columns.slice]) for row in rows]
            offsets = [to.constant(block.tobytes()) for block in blocks]
            for chunk in cut(pixels, depth):
                for row, block, offset in zip(rows, blocks, offsets, strict=True):
                    buffer = next(to.tiles)
                    to.add(commands.Load("constants", offset, buffer, block.size))
                    to.add(commands.Weights(buffer, row.count, columns.count))
                    ends = row is rows[-1]
                    to.add(
                        commands.Stream(
                            matrix.channel, matrix.channels, row.first, row.count, chunk.first, chunk.count,
                            channels.start, columns.count, row.first > 0, at if ends else None,
                        )
                    )  # fmt: skip


@write.register
def _(op: Pool, step: Arranged, to: Context) -> None:
    to.add(_window(step, op.x, op.kernel, op.strides, op.dilations, op.padding, to))
    to.add(_output(step, op.y, op.y.range, to))
    to.add(commands.Pool(op.op, op.ceil_mode, op.count_include_pad))


@write.register
def _(op: Binary, step: Arranged, to: Context) -> None:
    to.add(_output(step, op.y, op.clamp, to))
    first = step.inputs[0]
    if op.constant is None:
        b, shape = to.at(step.inputs[1]), step.inputs[1].physical
    else:
        b, shape = to.own, _second(step, op).shape
    to.add(commands.Binary(op.op, to.at(first), first.physical, _quant(op.a), b, shape, _quant(op.b)))


@write.register
def _(op: Table, step: Arranged, to: Context) -> None:
    (x,) = step.inputs
    size = math.prod(x.shape)
    to.add(commands.Move(to.at(x), 1, size, to.at(step.output), size, to.own))


@write.register
def _(op: Concat, step: Arranged, to: Context) -> None:
    axis = step.output.order.index(op.axis)
    pitch = math.prod(step.output.physical[axis:])
    place, table = to.at(step.output), to.own if constants(step) else 0
    for x, params in zip(step.inputs, op.xs, strict=True):
        columns = math.prod(x.physical[axis:])
        same = params.same(op.y)
        to.add(commands.Move(to.at(x), math.prod(x.physical[:axis]), columns, place, pitch, None if same else table))
        place += columns
        table += 0 if same else 256


@write.register
def _(op: Transpose, step: Arranged, to: Context) -> None:
    (x,) = step.inputs
    to.add(commands.Permute(to.at(x), x.physical, op.axes, to.at(step.output)))


def _fetch(data: bytes, buffer: int, to: Context) -> None:
    to.add(commands.Load("constants", to.constant(data), buffer, len(data)))


def _window(
    step: Arranged,
    x: QParams,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: tuple[int, ...],
    to: Context,
) -> commands.Window:
    """Of a tensor [batch, channels, *space] with one or two spatial axes."""
    (value,) = step.inputs
    batch, channels, *space = value.shape
    rank = len(space)
    height, width = _two(space, 1)
    (top, left), (bottom, right) = _two(padding[:rank], 0), _two(padding[rank:], 0)
    return commands.Window(
        to.at(value), (batch, height, width, channels), _quant(x), _two(kernel, 1), _two(strides, 1),
        _two(dilations, 1), (top, left, bottom, right), _two(step.output.shape[2:], 1),
    )  # fmt: skip


def _output(step: Arranged, y: QParams, clamp: tuple[int, int], to: Context) -> commands.Output:
    return commands.Output(to.at(step.output), step.output.physical[-1], _quant(y), *clamp)


def _two(values: tuple[int, ...] | list[int], fill: int) -> tuple[int, int]:
    """Two spatial sizes; one alone is the width."""
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def _quant(params: QParams) -> Quant:
    return Quant(float(params.scale), int(params.zero_point), "int8" if params.dtype == np.int8 else "uint8")


def _second(step: Arranged, op: Binary) -> np.ndarray:
    """The constant operand, as the first one lies in memory."""
    assert op.constant is not None
    rank = len(step.output.shape)
    values = op.constant.reshape((1,) * (rank - op.constant.ndim) + op.constant.shape)
    return np.ascontiguousarray(values.transpose(step.output.order))


def _table(x: QParams, table: np.ndarray) -> bytes:
    """``table``, indexed from the lowest value on, indexed by the byte."""
    low = x.range[0]
    index = np.arange(256, dtype=np.uint8).view(x.dtype).astype(np.int32) - low
    return table[index].tobytes()


def _requantizing(x: QParams, y: QParams) -> bytes:
    values = np.arange(256, dtype=np.uint8).view(x.dtype)
    return reference.quantize(reference.dequantize(values, x), y).tobytes()

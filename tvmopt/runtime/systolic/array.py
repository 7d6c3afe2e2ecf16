"""Execute a command stream in numpy, bit for bit as the accelerator would."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod

import numpy as np

from ...quant import reference, regions
from ...quant.params import QParams
from .commands import (
    Binary,
    Command,
    Layer,
    Load,
    Move,
    Output,
    Permute,
    Pool,
    Program,
    Quant,
    Store,
    Stream,
    Weights,
    Window,
)
from .window import Operand

_TOP = np.uint8(128)


def execute(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a program, by name. inputs : int8 arrays of its input buffers' shapes."""
    run = _Run(program, inputs)
    for command in program.commands:
        run.step(command)
    return {buffer.name: run.dram[buffer.name].view(np.int8).reshape(buffer.shape) for buffer in program.outputs}


class _Run:
    """The state of the accelerator: DRAM, on-chip memory, the array's weights, accumulators."""

    window: Operand
    output: Output

    def __init__(self, program: Program, inputs: Mapping[str, np.ndarray]) -> None:
        machine = program.machine
        self.dram = {"constants": np.frombuffer(program.constants, np.uint8)}
        for buffer in program.inputs:
            self.dram[buffer.name] = np.ascontiguousarray(inputs[buffer.name]).reshape(-1).view(np.uint8)
        for buffer in (*program.spills, *program.outputs):
            self.dram[buffer.name] = np.zeros(buffer.size, np.uint8)
        self.chip = np.zeros(machine.memory_kib * 1024, np.uint8)
        self.weights = np.zeros((0, 0), np.float32)
        self.sums = np.zeros((0, 0), np.int32)

    @singledispatchmethod
    def step(self, command: Command) -> None:
        """Do one command."""
        raise TypeError(f"no meaning of {type(command).__name__}")

    @step.register
    def _(self, command: Layer) -> None:
        pass

    @step.register
    def _(self, command: Load) -> None:
        values = self.dram[command.buffer][command.offset : command.offset + command.size]
        self._write(command.to, values ^ _TOP if command.flip else values)

    @step.register
    def _(self, command: Store) -> None:
        values = self._read(command.at, command.size)
        self.dram[command.buffer][command.offset : command.offset + command.size] = (
            values ^ _TOP if command.flip else values
        )

    @step.register
    def _(self, command: Window) -> None:
        self.window = Operand(command, self.chip)

    @step.register
    def _(self, command: Output) -> None:
        self.output = command

    @step.register
    def _(self, command: Weights) -> None:
        tile = self._read(command.at, command.rows * command.columns).view(np.int8)
        self.weights = tile.reshape(command.rows, command.columns).astype(np.float32)

    @step.register
    def _(self, command: Stream) -> None:
        # At most 1024 products of at most 2**14: exact in float32, where there is a fast matrix product.
        sums = (self.window.rows(command) @ self.weights).astype(np.int32)
        self.sums = self.sums + sums if command.add else sums
        if command.parameters is None:
            return
        bytes_each = 4 * command.columns
        multiplier = self._read(command.parameters, bytes_each).view(np.float32)
        bias = self._read(command.parameters + bytes_each, bytes_each).view(np.int32)
        clamp = (self.output.low, self.output.high)
        values = reference.requantize(self.sums + bias, multiplier, _params(self.output.quant), clamp)
        columns = slice(command.column, command.column + command.columns)
        self._output(self.window.window.pixels)[command.pixel : command.pixel + command.pixels, columns] = values

    @step.register
    def _(self, command: Pool) -> None:
        window = self.window.window
        x, y = _params(window.quant), _params(self.output.quant)
        region = regions.Pool(
            command.op, x, y, window.kernel, window.strides, window.padding, window.dilations, command.ceil_mode,
            command.count_padding,
        )  # fmt: skip
        values = reference.run(region, self.window.tensor.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        self._output(window.pixels)[:] = values.reshape(window.pixels, -1)

    @step.register
    def _(self, command: Binary) -> None:
        operands = [
            self._read(at, int(np.prod(shape))).view(quant.dtype).reshape(shape)
            for at, shape, quant in (
                (command.a, command.a_shape, command.a_quant),
                (command.b, command.b_shape, command.b_quant),
            )
        ]
        a, b, y = map(_params, (command.a_quant, command.b_quant, self.output.quant))
        region = regions.Binary(command.op, a, b, None, y, (self.output.low, self.output.high))
        self._write(self.output.to, reference.run(region, *operands).view(np.uint8))

    @step.register
    def _(self, command: Move) -> None:
        values = self._read(command.at, command.rows * command.columns).reshape(command.rows, command.columns)
        if command.table is not None:
            values = self._read(command.table, 256)[values]
        size = (command.rows - 1) * command.pitch + command.columns
        span = self.chip[command.to : command.to + size]
        np.lib.stride_tricks.as_strided(span, values.shape, (command.pitch, 1))[:] = values

    @step.register
    def _(self, command: Permute) -> None:
        values = self._read(command.at, int(np.prod(command.shape))).reshape(command.shape)
        self._write(command.to, values.transpose(command.axes))

    def _read(self, at: int, size: int) -> np.ndarray:
        return self.chip[at : at + size]

    def _write(self, to: int, values: np.ndarray) -> None:
        self.chip[to : to + values.size] = values.reshape(-1)

    def _output(self, pixels: int) -> np.ndarray:
        """The tensor that is written: [pixels, channels]."""
        output = self.output
        memory = self.chip[output.to : output.to + pixels * output.channels]
        return memory.view(output.quant.dtype).reshape(pixels, output.channels)


def _params(quant: Quant) -> QParams:
    return QParams.per_tensor(quant.scale, quant.zero_point, quant.dtype)

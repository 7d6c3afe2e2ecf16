"""When each command of a stream runs, and what that costs: cycles, stalls, traffic.

Two units take commands in order, each its own: the DMA (load, store), and the array with its vector unit (all others).
A command starts when its unit is free and when those before it, of either unit, are done with the bytes that it
touches; so a load into one of two buffers runs while the array works from the other. What is modelled:

- weights enter the array row by row through its full height: ``rows`` cycles, during which nothing else streams;
- a stream takes ``pixels + rows + columns - 2`` cycles: one position a cycle, and the way of the last one through the
  array (together these are the weight-stationary folds of Samajdar et al., "A Systematic Methodology for
  Characterizing Scalability of DNN Accelerators using SCALE-Sim", ISPASS 2020);
- the vector unit takes ``columns`` elements a cycle; the DMA ``dram_bytes_per_cycle``, without latency;
- results leave the array through its output stage as they come, and the on-chip memory serves all units at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Literal

import numpy as np

from ...errors import ArtifactError
from .commands import (
    PARAMETERS,
    Binary,
    Command,
    Layer,
    Load,
    Move,
    Output,
    Permute,
    Pool,
    Program,
    Store,
    Stream,
    Weights,
    Window,
)

_LINE = 64
"""Bytes of on-chip memory whose use is remembered together."""

Span = tuple[int, int]
"""First byte and size."""


@dataclass(frozen=True)
class Cost:
    """What one layer costs.

    Attributes
    ----------
    name, kind  : as the layer's command has them.
    macs        : multiply-accumulates that the model asks for.
    cycles      : from the end of the layer before it to its own.
    array_cycles, vector_cycles : of these, with the array or the vector unit at work.
    stall_cycles : of these, waiting for the DMA.
    utilisation : macs, of those that the array could have done in ``cycles``.
    dram_read_bytes, dram_write_bytes : between DRAM and the on-chip memory.
    chip_read_bytes, chip_write_bytes : between the on-chip memory and the array, the vector unit and the DMA.
    accumulator_bytes : partial sums, read and written.
    """

    name: str
    kind: str
    macs: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    stall_cycles: int
    utilisation: float
    dram_read_bytes: int
    dram_write_bytes: int
    chip_read_bytes: int
    chip_write_bytes: int
    accumulator_bytes: int


def costs(program: Program) -> list[Cost]:
    """Cost of every layer, in order; their cycles add up to those of the program.

    Raises ArtifactError for a stream that the machine cannot execute: beyond its memory, array or accumulators.
    """
    clock = _Clock(program)
    for command in program.commands:
        clock.step(command)
    return clock.finished()


@dataclass
class _Count:
    """One layer, so far."""

    layer: Layer
    array: int = 0
    vector: int = 0
    end: int = 0
    dram_read: int = 0
    dram_write: int = 0
    chip_read: int = 0
    chip_write: int = 0
    accumulators: int = 0


class _Clock:
    window: Window
    output: Output

    def __init__(self, program: Program) -> None:
        self.machine = program.machine
        self.size = self.machine.memory_kib * 1024
        lines = -(-self.size // _LINE)
        self.written = np.zeros(lines, np.int64)  # when a line's last write ends
        self.read = np.zeros(lines, np.int64)  # when its last read does
        self.free = {"dma": 0, "compute": 0}
        self.layers: list[_Count] = []

    @property
    def count(self) -> _Count:
        return self.layers[-1]

    def finished(self) -> list[Cost]:
        """What was counted; the last layer ends with the last store."""
        if self.layers:
            self.count.end = max(self.free.values())
        found, begin = [], 0
        peak = self.machine.rows * self.machine.columns
        for one in self.layers:
            cycles = one.end - begin
            found.append(
                Cost(
                    one.layer.name, one.layer.kind, one.layer.macs, cycles, one.array, one.vector,
                    cycles - one.array - one.vector, one.layer.macs / (cycles * peak) if cycles else 0.0,
                    one.dram_read, one.dram_write, one.chip_read, one.chip_write, one.accumulators,
                )
            )  # fmt: skip
            begin = one.end
        return found

    def run(self, unit: Literal["dma", "compute"], cycles: int, reads: Sequence[Span], writes: Sequence[Span]) -> None:
        """Give ``cycles`` of work to a unit, as soon as it and the bytes are free."""
        start = self.free[unit]
        for at, size in reads:
            start = max(start, int(self._lines(self.written, at, size).max(initial=0)))
        for at, size in writes:
            start = max(start, int(self._lines(self.written, at, size).max(initial=0)))
            start = max(start, int(self._lines(self.read, at, size).max(initial=0)))
        end = self.free[unit] = start + cycles
        for at, size in reads:
            lines = self._lines(self.read, at, size)
            np.maximum(lines, end, out=lines)
        for at, size in writes:
            self._lines(self.written, at, size)[:] = end
        if unit == "compute":
            self.count.end = end

    def _lines(self, times: np.ndarray, at: int, size: int) -> np.ndarray:
        if at < 0 or at + size > self.size:
            raise ArtifactError(f"bytes {at}..{at + size} are beyond the on-chip memory of {self.size}")
        return times[at // _LINE : -(-(at + size) // _LINE)]

    def _vector(self, elements: int, reads: Sequence[Span], writes: Sequence[Span]) -> None:
        cycles = -(-elements // self.machine.columns)
        self.run("compute", cycles, reads, writes)
        self.count.vector += cycles
        self.count.chip_read += sum(size for _, size in reads)
        self.count.chip_write += sum(size for _, size in writes)

    @singledispatchmethod
    def step(self, command: Command) -> None:
        """Account for one command."""
        raise TypeError(f"no cost of {type(command).__name__}")

    @step.register
    def _(self, command: Layer) -> None:
        self.layers.append(_Count(command, end=self.free["compute"]))

    @step.register
    def _(self, command: Load) -> None:
        self.run("dma", -(-command.size // self.machine.dram_bytes_per_cycle), (), [(command.to, command.size)])
        self.count.dram_read += command.size
        self.count.chip_write += command.size

    @step.register
    def _(self, command: Store) -> None:
        self.run("dma", -(-command.size // self.machine.dram_bytes_per_cycle), [(command.at, command.size)], ())
        self.count.dram_write += command.size
        self.count.chip_read += command.size

    @step.register
    def _(self, command: Window) -> None:
        self.window = command

    @step.register
    def _(self, command: Output) -> None:
        self.output = command

    @step.register
    def _(self, command: Weights) -> None:
        if command.rows > self.machine.rows or command.columns > self.machine.columns:
            raise ArtifactError(f"{command.rows}x{command.columns} weights are more than the array has room for")
        size = command.rows * command.columns
        self.run("compute", self.machine.rows, [(command.at, size)], ())
        self.count.array += self.machine.rows
        self.count.chip_read += size

    @step.register
    def _(self, command: Stream) -> None:
        kept = command.add or command.parameters is None
        if kept and 4 * command.pixels * self.machine.columns > self.machine.accumulator_kib * 1024:
            raise ArtifactError(f"{command.pixels} rows of sums are more than the accumulators have room for")
        reads, writes = [(self.window.at, self.window.size)], []
        if command.parameters is not None:
            reads.append((command.parameters, PARAMETERS * command.columns))
            writes.append((self.output.to, self.window.pixels * self.output.channels))
        cycles = command.pixels + self.machine.rows + self.machine.columns - 2
        self.run("compute", cycles, reads, writes)
        self.count.array += cycles
        self.count.chip_read += command.pixels * command.rows
        sums = command.pixels * command.columns
        self.count.accumulators += 4 * sums * (command.add + (command.parameters is None))
        if command.parameters is not None:
            self.count.chip_read += PARAMETERS * command.columns
            self.count.chip_write += sums

    @step.register
    def _(self, command: Pool) -> None:
        window = self.window
        out = window.pixels * self.output.channels
        self._vector(out * math.prod(window.kernel), [(window.at, window.size)], [(self.output.to, out)])

    @step.register
    def _(self, command: Binary) -> None:
        out = math.prod(np.broadcast_shapes(command.a_shape, command.b_shape))
        reads = [(command.a, math.prod(command.a_shape)), (command.b, math.prod(command.b_shape))]
        self._vector(out, reads, [(self.output.to, out)])

    @step.register
    def _(self, command: Move) -> None:
        size = command.rows * command.columns
        reads = [(command.at, size)] + ([] if command.table is None else [(command.table, 256)])
        span = (command.rows - 1) * command.pitch + command.columns
        self._vector(size, reads, [(command.to, span)])
        self.count.chip_write -= span - size  # the bytes between its rows are not written

    @step.register
    def _(self, command: Permute) -> None:
        size = math.prod(command.shape)
        self._vector(size, [(command.at, size)], [(command.to, size)])

"""From a graph to the command stream that computes it."""

from __future__ import annotations

from itertools import cycle

from ...runtime.systolic.commands import Buffer, Command, Layer, Load, Program, Store
from ...target import Systolic
from .arrange import Arranged, Memory, Value, arrange
from .graph import Graph, Tensor, Transpose
from .memory import ALIGNMENT, fit, weight_buffers
from .operators import Context, constants, write


def emit(graph: Graph, machine: Systolic) -> Program:
    """Compile a graph whose regions ``support.refuse`` has nothing against.

    Raises UnsupportedError where the tensors of one operator are more than the on-chip memory holds.
    """
    return _Emitter(graph, machine).run()


class _Emitter(Context):
    """Writes the commands of one step after the other.

    Weights alternate between two buffers: while the array works from one, the DMA fills the other.
    """

    def __init__(self, graph: Graph, machine: Systolic) -> None:
        self.graph, self.machine = graph, machine
        buffers = weight_buffers(machine)
        self.tiles, self.columns = cycle(buffers.tiles), cycle(buffers.columns)
        self.arrangement = arrange(graph)
        self.extra = {i: constants(step) for i, step in enumerate(self.arrangement.steps)}
        needed = {i: len(data) for i, data in self.extra.items() if data}
        self.places = fit(self.arrangement, needed, buffers.size, machine.memory_kib * 1024)
        self.data = bytearray()
        self.commands: list[Command] = []
        self.step = 0

    def run(self) -> Program:
        arrangement = self.arrangement
        spills = {memory: f"spill{index}" for index, memory in enumerate(self.places.spills)}
        given = {v.memory: (t.name, v) for t, v in zip(self.graph.inputs, arrangement.inputs, strict=True)}
        wanted: dict[Memory, list[tuple[str, Value]]] = {}
        for tensor, value in zip(self.graph.outputs, arrangement.outputs, strict=True):
            wanted.setdefault(value.memory, []).append((tensor.name, value))
        present: set[Memory] = set()
        for self.step, step in enumerate(arrangement.steps):
            self.add(_layer(step))
            for memory in dict.fromkeys(value.memory for value in step.inputs):
                at = self.places.at[memory, self.step]
                if memory in given and (memory in spills or memory not in present):
                    name, value = given[memory]
                    self.add(Load(name, 0, at, memory.size, _flips(value)))
                elif memory in spills:
                    self.add(Load(spills[memory], 0, at, memory.size))
                present.add(memory)
            if self.extra[self.step]:
                data = self.extra[self.step]
                self.add(Load("constants", self.constant(data), self.own, len(data)))
            write(step.op, step, self)
            memory = step.output.memory
            at = self.places.at[memory, self.step]
            if memory in spills:
                self.add(Store(at, spills[memory], 0, memory.size))
            for name, value in wanted.get(memory, []):
                self.add(Store(at, name, 0, memory.size, _flips(value)))
        return Program(
            self.machine,
            tuple(_buffer(*pair) for pair in zip(self.graph.inputs, arrangement.inputs, strict=True)),
            tuple(_buffer(*pair) for pair in zip(self.graph.outputs, arrangement.outputs, strict=True)),
            tuple(Buffer(name, (memory.size,)) for memory, name in spills.items() if memory not in given),
            bytes(self.data),
            tuple(self.commands),
        )

    def add(self, command: Command) -> None:
        self.commands.append(command)

    def at(self, value: Value) -> int:
        return self.places.at[value.memory, self.step]

    def constant(self, data: bytes) -> int:
        self.data += bytes(-len(self.data) % ALIGNMENT)
        self.data += data
        return len(self.data) - len(data)

    @property
    def own(self) -> int:
        return self.places.extra[self.step]


def _layer(step: Arranged) -> Layer:
    if isinstance(step.op, Transpose):
        return Layer(step.source.output.name, "permute", 0)
    return Layer(step.source.output.name, step.op.kind, step.source.macs)


def _flips(value: Value) -> bool:
    return value.dtype == "uint8"


def _buffer(tensor: Tensor, value: Value) -> Buffer:
    return Buffer(tensor.name, value.physical)

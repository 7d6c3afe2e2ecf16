"""How the tensors of a graph lie in the on-chip memory, axis by axis, and what moves elements to have them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...quant.regions import Binary, Concat, Conv, Pool, Region
from .graph import Graph, Reshape, Step, Tensor, Transpose

Order = tuple[int, ...]
"""Which ONNX axis each axis in memory is."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Bytes that hold a tensor, and its reshapes."""

    name: str
    size: int


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor in memory: its ONNX shape and dtype, and the order in which its axes lie there."""

    shape: tuple[int, ...]
    dtype: str
    order: Order
    memory: Memory

    @property
    def physical(self) -> tuple[int, ...]:
        """The shape as it lies in memory."""
        return tuple(self.shape[axis] for axis in self.order)


@dataclass(frozen=True)
class Arranged:
    """One step on tensors in memory: a region, or a permutation of a tensor's axes as they lie there.

    source : the step of the graph that it is, or that needs it.
    """

    source: Step
    op: Region | Transpose
    inputs: tuple[Value, ...]
    output: Value

    @property
    def memories(self) -> tuple[Memory, ...]:
        """What it reads and writes."""
        return tuple(dict.fromkeys(value.memory for value in (*self.inputs, self.output)))


@dataclass(frozen=True)
class Arrangement:
    """Steps in order; what is given, and what is wanted, in the order of the graph."""

    inputs: Sequence[Value]
    outputs: Sequence[Value]
    steps: Sequence[Arranged]


def last(rank: int) -> Order:
    """Channels last: [batch, *space, channels]."""
    return (0, *range(2, rank), 1) if rank > 2 else plain(rank)


def plain(rank: int) -> Order:
    """As ONNX has it."""
    return tuple(range(rank))


def same_memory(shape: Sequence[int], a: Order, b: Order) -> bool:
    """Whether a tensor's elements lie in the same sequence in both orders."""
    return [axis for axis in a if shape[axis] != 1] == [axis for axis in b if shape[axis] != 1]


def arrange(graph: Graph) -> Arrangement:
    """Choose an order for every tensor: channels last where a window slides over it, else as it comes.

    Reshapes and transposes disappear where the bytes stay where they are; else a ``Transpose`` in memory is added.
    """
    return _Arranging(graph).run()


class _Arranging:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Arranged] = []
        self.values: dict[Tensor, Value] = {}

    def run(self) -> Arrangement:
        order = last if self.graph.channels_last else plain
        for tensor in self.graph.inputs:
            self.values[tensor] = _new(tensor, order(len(tensor.shape)))
        for step in self.graph.steps:
            self.values[step.output] = self.step(step, [self.values[tensor] for tensor in step.inputs])
        final = self.graph.steps[-1]
        outputs = [self.ordered(final, self.values[tensor], order(len(tensor.shape))) for tensor in self.graph.outputs]
        return Arrangement([self.values[tensor] for tensor in self.graph.inputs], outputs, self.steps)

    def step(self, step: Step, inputs: list[Value]) -> Value:
        first, rank = inputs[0], len(step.output.shape)
        if isinstance(step.op, Transpose):
            order = tuple(step.op.axes.index(axis) for axis in first.order)
            return Value(step.output.shape, first.dtype, order, first.memory)
        if isinstance(step.op, Reshape):
            moved = self.ordered(step, first, plain(len(first.shape)))
            return Value(step.output.shape, first.dtype, plain(rank), moved.memory)
        if isinstance(step.op, Conv | Pool):
            order = last(rank)
            inputs = [self.ordered(step, first, order)]
        elif isinstance(step.op, Binary | Concat):
            order = first.order if len(first.order) == rank else plain(rank)
            inputs = [self.ordered(step, _expanded(value, rank), order) for value in inputs]
        else:
            order = plain(rank) if step.macs else first.order
            inputs = [self.ordered(step, first, order)]
        output = _new(step.output, order)
        self.steps.append(Arranged(step, step.op, tuple(inputs), output))
        return output

    def ordered(self, step: Step, value: Value, order: Order) -> Value:
        """``value`` with its axes in ``order``, for ``step``: the same bytes if possible."""
        if same_memory(value.shape, value.order, order):
            return Value(value.shape, value.dtype, order, value.memory)
        name = f"{value.memory.name} permuted"
        moved = Value(value.shape, value.dtype, order, Memory(name, value.memory.size))
        axes = tuple(value.order.index(axis) for axis in order)
        self.steps.append(Arranged(step, Transpose(axes), (value,), moved))
        return moved


def _new(tensor: Tensor, order: Order) -> Value:
    return Value(tensor.shape, tensor.dtype, order, Memory(tensor.name, tensor.size))


def _expanded(value: Value, rank: int) -> Value:
    """With as many axes as ``rank``: those in front are of size 1, as in broadcasting."""
    more = rank - len(value.shape)
    order = (*range(more), *(axis + more for axis in value.order))
    return Value((1,) * more + value.shape, value.dtype, order, value.memory)

"""Runs graphs on a simulated array and by the integer reference."""

from __future__ import annotations

import numpy as np

from tvmopt.backends.systolic import Graph, Reshape, Step, Tensor, Transpose, emit
from tvmopt.quant import reference
from tvmopt.quant.regions import Conv, Pool, Region
from tvmopt.runtime.systolic import Program, costs, execute
from tvmopt.target import Systolic


def machine(
    rows: int = 8, columns: int = 8, memory_kib: int = 64, accumulator_kib: int = 1, dram_bytes_per_cycle: int = 4
) -> Systolic:
    """A small array, on which small layers have many tiles."""
    return Systolic(
        host="host",
        rows=rows,
        columns=columns,
        clock_mhz=100,
        memory_kib=memory_kib,
        accumulator_kib=accumulator_kib,
        dram_bytes_per_cycle=dram_bytes_per_cycle,
        source="",
    )


def single(region: Region, *inputs: np.ndarray) -> Graph:
    """A graph of one region."""
    given = [Tensor(f"x{i}", x.shape, str(x.dtype)) for i, x in enumerate(inputs)]
    y = reference.run(region, *inputs)
    out = Tensor("y", y.shape, str(y.dtype))
    return Graph(given, [out], [Step(region, tuple(given), out)], isinstance(region, Conv | Pool))


def expected(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph by the reference."""
    values = dict(zip(graph.inputs, inputs, strict=True))
    for step in graph.steps:
        given = [values[tensor] for tensor in step.inputs]
        if isinstance(step.op, Reshape):
            values[step.output] = given[0].reshape(step.output.shape)
        elif isinstance(step.op, Transpose):
            values[step.output] = given[0].transpose(step.op.axes)
        else:
            values[step.output] = reference.run(step.op, *given)
    return [values[tensor] for tensor in graph.outputs]


def check(graph: Graph, inputs: list[np.ndarray], on: Systolic) -> Program:
    """Assert that the array gives the reference's outputs, bit for bit; the program, after its machine form."""
    program = Program.decode(emit(graph, on).encode())
    last = graph.channels_last
    given = {t.name: _given(x, last) for t, x in zip(graph.inputs, inputs, strict=True)}
    got = execute(program, given)
    for tensor, want in zip(graph.outputs, expected(graph, inputs), strict=True):
        np.testing.assert_array_equal(_taken(got[tensor.name], tensor, last), want, strict=True)
    assert all(cost.stall_cycles >= 0 for cost in costs(program))
    return program


def _given(x: np.ndarray, last: bool) -> np.ndarray:
    """As a host hands it over."""
    values = (x.view(np.uint8) ^ np.uint8(128)).view(np.int8) if x.dtype == np.uint8 else x
    return np.moveaxis(values, 1, -1) if last and x.ndim > 2 else values


def _taken(y: np.ndarray, tensor: Tensor, last: bool) -> np.ndarray:
    values = np.moveaxis(y, -1, 1) if last and y.ndim > 2 else y
    return np.ascontiguousarray(values).view(np.uint8) ^ np.uint8(128) if tensor.dtype == "uint8" else values

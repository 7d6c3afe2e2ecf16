"""Chains of elementwise regions, before and after, and what they compute."""

import numpy as np
import pytest
import tvm
from tvm import relax

from tests.lowering.graphs import Graph, conv
from tests.lowering.strategies import tensor
from tvmopt import backends, lowering
from tvmopt import target as targets
from tvmopt.passes.compose_tables import ComposeTables
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Table
from tvmopt.quant.relax_form import from_function

RNG = np.random.default_rng(0)
PARAMS = [QParams.per_tensor(s, z, t) for s, z, t in [(0.02, 3, "int8"), (0.03, 100, "uint8"), (0.01, -7, "int8")]]


def table(x: int, y: int) -> Table:
    low, high = PARAMS[y].range
    return Table(PARAMS[x], PARAMS[y], RNG.integers(low, high + 1, 256).astype(PARAMS[y].dtype))


def binary(op: str, a: int, b: int, y: int, constant: np.ndarray | None = None) -> Binary:
    return Binary(op, PARAMS[a], PARAMS[b], constant, PARAMS[y], (PARAMS[y].range[0] + 9, PARAMS[y].range[1]))


def composed(graph: Graph, *outputs: relax.Var) -> list[tuple[str, str]]:
    """Kind and operands of each region that is left; checks that results are the same."""
    model, expected = graph.model(*outputs)
    mod = ComposeTables()(model.mod)
    relax.analysis.well_formed(mod)
    host = targets.get("host")
    results = backends.build(lowering.lower(model.replace(mod=mod), host), host).run(graph.inputs)
    for got, wanted in zip(results.values(), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    calls = [b.value for b in mod["main"].body.blocks[0].bindings if isinstance(b.value, relax.Call)]
    composites = [f for f in mod.functions.values() if "Composite" in (f.attrs or {})]
    assert len(composites) <= len(calls)  # none is left that nothing calls
    return [(from_function(mod[call.op]).kind, " ".join(arg.name for arg in call.args)) for call in calls]


@pytest.fixture
def graph() -> Graph:
    return Graph(x=tensor((1, 300, 3), "int8"))


def test_tables_of_tables(graph):
    (x,) = graph.params
    y = graph.region(table(1, 2), graph.region(table(0, 1), x))
    assert composed(graph, graph.region(table(2, 0), y)) == [("table", "x")]


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_a_product_of_x_and_a_table_of_x(graph, op):
    """As gelu is written: x * 0.5 * (1 + erf(x / sqrt(2)))."""
    (x,) = graph.params
    f = graph.region(table(1, 0), graph.region(table(0, 1), x))
    y = graph.region(binary(op, 0, 0, 1), x, f)
    z = graph.region(binary(op, 0, 1, 2), f, y)
    assert composed(graph, graph.region(table(2, 0), z)) == [("table", "x")]


def test_without_a_table_sums_stay(graph):
    (x,) = graph.params
    assert composed(graph, graph.region(binary("add", 0, 0, 2), x, x)) == [("binary", "x x")]


def test_a_constant_of_several_elements_ends_a_chain(graph):
    (x,) = graph.params
    y = graph.region(table(0, 1), x)
    z = graph.region(binary("add", 1, 2, 0, tensor((3,), "int8")), y)
    assert [kind for kind, _ in composed(graph, graph.region(table(0, 2), z))] == ["table", "binary", "table"]


def test_what_is_read_in_between_stays(graph):
    (x,) = graph.params
    y = graph.region(table(0, 1), x)
    assert composed(graph, y, graph.region(table(1, 2), y)) == [("table", "x"), ("table", "x")]


def test_two_tensors_are_not_one():
    graph = Graph(a=tensor((2, 3), "int8"), b=tensor((2, 3), "int8", seed=1))
    a, b = graph.params
    y = graph.region(binary("add", 1, 1, 2), graph.region(table(0, 1), a), graph.region(table(0, 1), b))
    assert [kind for kind, _ in composed(graph, y)] == ["table", "table", "binary"]


def test_other_regions_stay():
    graph = Graph(x=tensor((1, 4, 5, 5), "int8"))
    before = graph.region(conv(PARAMS[0], 4, 4), *graph.params)
    mod = graph.model(before)[0].mod
    tvm.ir.assert_structural_equal(ComposeTables()(mod), mod)

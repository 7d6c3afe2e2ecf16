"""Subgraphs for an accelerator: the same results, no cycles, as large as they can be."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.ir import GlobalVar

from tests.lowering.graphs import Graph, conv
from tests.lowering.strategies import tensor
from tvmopt import frontend
from tvmopt.model import Model
from tvmopt.passes import pipeline
from tvmopt.passes.partition import partition
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Table
from tvmopt.quant.subgraphs import Op, channels_last, ops, subgraphs

from .interpreter import run
from .networks import networks

P = QParams.per_tensor(0.5, 3, "int8")


def table(seed: int) -> Table:
    return Table(P, P, np.random.default_rng(seed).integers(-128, 128, 256).astype(np.int8), ("some",))


def add() -> Binary:
    return Binary("add", P, P, None, P, P.range)


def everything(op: Op) -> None:
    return None


def but(*kinds: str):
    return lambda op: "not this" if op.region is not None and op.region.kind in kinds else None


def members(model: Model) -> list[list[str]]:
    """The kinds of the regions in each subgraph; "" for moves."""
    return [
        [op.region.kind if op.region is not None else "" for op in ops(model.mod, function)]
        for function in subgraphs(model.mod).values()
    ]


@given(case=networks(), refused=st.integers(0, 2**12 - 1), some=st.booleans())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_networks(case, refused: int, some: bool) -> None:
    model, x = case
    grouped = pipeline.run(frontend.load(model))
    seen: list[str] = []

    def supports(op: Op) -> str | None:
        seen.append(op.var.name)
        return "drawn" if some and refused >> (len(seen) % 12) & 1 else None

    split = partition(grouped, "test", supports)
    relax.analysis.well_formed(split.mod)
    for before, after in zip(run(grouped.mod, x), run(split.mod, x), strict=True):
        np.testing.assert_array_equal(before, after)
    outside = {
        binding.var.name
        for block in split.mod["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, relax.Call)
        and not (isinstance(binding.value.op, GlobalVar) and binding.value.op.name_hint in subgraphs(split.mod))
    }
    assert outside == set(split.host_reasons)
    if not some:
        assert set(split.host_reasons.values()) <= {
            "it takes or gives float tensors",
            "not all of its inputs and outputs are 8-bit tensors",
            "it moves elements at the edge of what is accelerated",
        }


def test_a_value_that_leaves_does_not_come_back() -> None:
    """table -> pool -> add and table -> add: with pool refused, table and add cannot be one subgraph."""
    graph = Graph(x=tensor((1, 4, 5, 5), "int8"))
    a = graph.region(table(0), *graph.params)
    b = graph.region(conv(P, 4, 4), a)
    model, _ = graph.model(graph.region(add(), a, b))
    assert members(partition(model, "test", everything)) == [["table", "conv", "binary"]]
    assert members(partition(model, "test", but("conv"))) == [["table"], ["binary"]]
    assert members(partition(model, "test", but("table"))) == [["conv", "binary"]]


def test_a_long_way_around_is_a_way_too() -> None:
    """Two branches meet, but one of them passes another subgraph and the host on its way."""
    graph = Graph(x=tensor((4, 5), "int8"))
    a = graph.region(table(0), *graph.params)
    host = graph.region(Binary("mul", P, P, None, P, P.range), a, a)
    b = graph.region(table(1), host)
    c = graph.region(table(2), a)
    model, _ = graph.model(graph.region(add(), b, c))

    def supports(op: Op) -> str | None:
        return "no products" if isinstance(op.region, Binary) and op.region.op == "mul" else None

    split = partition(model, "test", supports)
    assert sorted(map(sorted, members(split))) == [["binary", "table"], ["table", "table"]]
    assert split.host_reasons == {host.name: "no products"}


def test_moves_between_regions_are_accelerated_and_those_at_the_edges_are_not() -> None:
    x = tensor((1, 4, 6, 5), "int8")
    graph = Graph(x=x)
    first = graph.op(relax.op.permute_dims(*graph.params, [0, 1, 3, 2]), x.transpose(0, 1, 3, 2))
    a = graph.region(conv(P, 4, 4), first)
    flat = graph.op(relax.op.reshape(a, (4, 30)), graph.values[a].reshape(4, 30))
    b = graph.region(table(0), flat)
    last = graph.op(relax.op.reshape(b, (120,)), graph.values[b].reshape(120))
    split = partition(graph.model(last)[0], "test", everything)
    assert members(split) == [["conv", "", "table"]]
    assert set(split.host_reasons) == {first.name, last.name}
    (function,) = subgraphs(split.mod).values()
    assert channels_last(split.mod, function)
    record = split.history[-1]
    assert record.after == {"ops": 3, "macs": record.before["macs"], "accelerated_macs": record.before["macs"]} | {
        "subgraphs": 1
    }


def test_parts_of_a_split_stay_with_it() -> None:
    x = tensor((2, 6), "int8")
    graph = Graph(x=x)
    a = graph.region(table(0), *graph.params)
    parts = graph.builder.emit(relax.op.split(a, 2, 1))
    left, right = np.split(graph.values[a], 2, 1)
    first = graph.op(relax.TupleGetItem(parts, 0), left)
    second = graph.op(relax.TupleGetItem(parts, 1), right)
    model, _ = graph.model(graph.region(table(1), first), second)
    split = partition(model, "test", everything)
    assert members(split) == [["table", "", "table"]]
    for before, after in zip(run(model.mod, x), run(split.mod, x), strict=True):
        np.testing.assert_array_equal(before, after)

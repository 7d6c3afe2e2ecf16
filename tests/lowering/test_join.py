"""Which calls become one kernel, and that networks of them still give the same."""

from __future__ import annotations

import pytest
from tvm import relax

from tvmopt import target as targets
from tvmopt.lowering.join import joins
from tvmopt.lowering.regions import lower_regions
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Table
from tvmopt.quant.relax_form import from_function

from .graphs import Graph, conv, run
from .harness import HOST, RUNNABLE
from .strategies import tensor

P = QParams.per_tensor(0.9, 3, "uint8")
Q = QParams.per_tensor(1.7, 120, "uint8")


def add(a: QParams = P, b: QParams = P) -> Binary:
    return Binary("add", a, b, None, Q, Q.range)


def graph(channels: int = 16) -> Graph:
    return Graph(x=tensor((1, channels, 6, 6), "uint8"), z=tensor((1, 32, 6, 6), "uint8", 1))


def found(built: Graph, *outputs: relax.Var) -> list[tuple[relax.Var, relax.Var, bool]]:
    """The sum, its other operand, and whether the product is the second one."""
    mod = built.model(*outputs)[0].mod
    regions = {gv: from_function(f) for gv, f in mod.functions.items() if "Composite" in (f.attrs or {})}
    return [(join.result, join.other, join.region.second) for join in joins(mod["main"], regions).values()]


def test_the_operand_that_is_computed_last_is_joined():
    built = graph()
    x, z = built.params
    a = built.region(conv(P, 16, 32), x)
    b = built.region(conv(P, 16, 32, 1), x)
    first = built.region(add(), b, a)
    second = built.region(add(Q), first, built.region(conv(Q, 32, 32, 1), first))
    third = built.region(add(P, Q), z, second)
    assert found(built, third) == [(first, a, False), (second, first, True)]


def test_what_else_is_read_stays():
    built = graph()
    x, z = built.params
    a = built.region(conv(P, 16, 32), x)
    assert found(built, built.region(add(), a, z), a) == []
    built = graph()
    a = built.region(conv(P, 16, 32), built.params[0])
    assert found(built, built.region(add(), a, a)) == []


def test_a_product_that_is_computed_first_stays():
    """To compute it where the other operand is there would keep its input for longer."""
    built = graph()
    x, z = built.params
    a = built.region(conv(P, 16, 32), x)
    table = built.region(Table(P, P, tensor((256,), "uint8")), z)
    assert found(built, built.region(add(), a, table)) == []


def test_operands_of_several_shapes_stay():
    built = Graph(x=tensor((1, 16, 6, 6), "uint8"), z=tensor((1, 32, 1, 1), "uint8", 1))
    x, z = built.params
    assert found(built, built.region(add(), z, built.region(conv(P, 16, 32), x))) == []


def blocks(channels: int, outputs: int) -> tuple[Graph, list[relax.Var]]:
    """Two residual blocks, the first with a convolution beside it; results of both kinds, joined and not."""
    built = Graph(x=tensor((2, channels, 6, 7), "uint8"))
    (x,) = built.params
    side = built.region(conv(P, channels, outputs, 1), x)
    inner = built.region(conv(P, channels, outputs), x)
    first = built.region(add(), side, built.region(conv(P, outputs, outputs), inner))
    second = built.region(conv(Q, outputs, outputs), first)
    total = built.region(Binary("sub", Q, P, None, P, (3, 240)), first, second)
    return built, [total, inner]


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize(("channels", "outputs"), [(16, 64), (3, 19), (5, 8)])
def test_networks(target, channels, outputs):
    built, results = blocks(channels, outputs)
    run(built, *results, target=targets.get(target))


def test_counts_and_names():
    built, results = blocks(16, 64)
    mod, counts = lower_regions(built.model(*results)[0].mod, HOST, True)
    assert counts == {"regions": 6, "sparse": 0, "joined": 2, "inlined": 0}
    assert sum(gv.name_hint.startswith("tvmopt_residual") for gv in mod.functions) == 2

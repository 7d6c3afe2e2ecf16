"""The stage as a whole."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import tvm
from tvm import relax

from tvmopt.lowering import lower
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Concat, Dequantize, Pool, Quantize

from .graphs import Graph, conv, run
from .harness import HOST

KEPT = msgspec.structs.replace(HOST, activation=None)
SIGNED = msgspec.structs.replace(HOST, activation="int8")


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("target", [HOST, KEPT, SIGNED], ids=["host", "kept", "signed"])
def test_a_network(dtype, target):
    """float -> quantize -> conv -> two branches -> add -> concat -> pool -> flatten -> float."""
    graph = Graph(x=np.random.default_rng(0).normal(0, 30, (1, 5, 8, 6)).astype(np.float32))
    p = QParams.per_tensor(0.7, 5, dtype)
    x = graph.region(Quantize(p), *graph.params)
    first = conv(p, 5, 12)
    a = graph.region(first, x)
    second = conv(first.y, 12, 12, kernel=1)
    b = graph.region(second, a)
    y = QParams.per_tensor(1.3, -9 if dtype == "int8" else 100, dtype)
    total = graph.region(Binary("add", first.y, second.y, None, y, y.range), a, b)
    joined = graph.region(Concat((first.y, y), y, 1), a, total)
    pooled = graph.region(Pool("average", y, y, (8, 6), (1, 1), (0,) * 4, (1, 1)), joined)
    flat = graph.op(relax.op.reshape(pooled, (1, 24)), graph.values[pooled].reshape(1, 24))
    real = graph.region(Dequantize(y), flat)
    run(graph, real, b, flat, target=target)


def test_what_is_left_of_main():
    """call_tir, reshapes and tuples: what a back end understands."""
    graph = Graph(x=np.ones((1, 4, 6, 6), np.float32))
    p = QParams.per_tensor(0.5, 7, "int8")
    x = graph.region(conv(p, 4, 8), graph.region(Quantize(p), *graph.params))
    flat = graph.op(relax.op.reshape(x, (1, 288)), graph.values[x].reshape(1, 288))
    y = graph.op(relax.op.nn.relu(graph.region(Dequantize(p), flat)), np.zeros((1, 288), np.float32))
    model, _ = graph.model(y, x)
    lowered = lower(model, HOST)
    (block,) = lowered.mod["main"].body.blocks
    calls = [binding.value for binding in block.bindings if isinstance(binding.value, relax.Call)]
    assert {call.op.name for call in calls} == {"relax.call_tir", "relax.reshape"}
    record = lowered.history[-1]
    functions = [f for f in lowered.mod.functions.values() if isinstance(f, tvm.tirx.PrimFunc)]
    assert (record.name, record.after) == (
        "Lower",
        {"regions": 3, "sparse": 0, "joined": 0, "inlined": 0, "functions": len(functions)},
    )

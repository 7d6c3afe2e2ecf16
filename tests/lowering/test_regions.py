"""Calls of kernels in place of calls of composites."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from tvmopt import backends
from tvmopt.lowering import lower, regions
from tvmopt.lowering.regions import lower_regions
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Pool

from .graphs import Graph, conv
from .harness import HOST
from .strategies import tensor


def test_conversions_happen_once():
    """Two convolutions read one input: it is transposed once, and stays as it is between them."""
    graph = Graph(x=tensor((1, 4, 6, 6), "int8"))
    p = QParams.per_tensor(0.5, 7, "int8")
    a = graph.region(conv(p, 4, 16), *graph.params)
    b = graph.region(conv(p, 4, 8), *graph.params)
    model, _ = graph.model(a, b)
    mod, counts = lower_regions(model.mod, HOST, True)
    calls = [str(getattr(call.op, "name", "")) for call in bindings(mod)]
    assert counts == {"regions": 2, "sparse": 0, "joined": 0, "inlined": 0}
    assert calls.count("relax.permute_dims") == 3  # the input, and both outputs
    assert calls.count("relax.bitwise_xor") == 3


def test_equal_kernels_are_one_function():
    graph = Graph(x=tensor((1, 16, 6, 6), "uint8"))
    p = QParams.per_tensor(0.9, 3, "uint8")
    a = graph.region(conv(p, 16, 16), *graph.params)
    b = graph.region(conv(p, 16, 16), a)
    mod, _ = lower_regions(graph.model(b)[0].mod, HOST, True)
    assert len([f for f in mod.functions.values() if isinstance(f, tvm.tirx.PrimFunc)]) == 1


def bindings(mod: tvm.IRModule) -> list[relax.Expr]:
    return [b.value for block in mod["main"].body.blocks for b in block.bindings if isinstance(b.value, relax.Call)]


def test_a_region_without_a_kernel_runs_in_float(monkeypatch):
    """Its body is the definition."""
    monkeypatch.setattr(regions, "lower", lambda *_: None)
    graph = Graph(x=tensor((2, 3, 5, 7), "int8"))
    p, y = QParams.per_tensor(0.5, 7, "int8"), QParams.per_tensor(0.75, -20, "int8")
    a = graph.region(Pool("average", p, y, (2, 2), (1, 1), (0,) * 4, (1, 1)), *graph.params)
    model, expected = graph.model(a)
    lowered = lower(model, HOST)
    assert lowered.history[-1].after["inlined"] == 1
    (got,) = backends.build(lowered, HOST).run(graph.inputs).values()
    assert np.abs(got.astype(int) - expected[0]).max() <= 1

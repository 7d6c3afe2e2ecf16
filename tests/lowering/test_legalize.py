"""Float ops around int8 regions: what TVM's own legalization would get wrong, and what must be fused or free."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from tvmopt import backends
from tvmopt.lowering.legalize import legalize
from tvmopt.lowering.lower import lower
from tvmopt.model import Model

from .graphs import Graph
from .harness import HOST
from .strategies import tensor


def run(model: Model, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(backends.build(lower(model, HOST), HOST).run(inputs).values())


def functions(mod: tvm.IRModule) -> list[str]:
    return [gv.name_hint for gv, function in mod.functions.items() if isinstance(function, tvm.tirx.PrimFunc)]


def test_elementwise_ops_become_one_function_and_reshapes_none():
    x = tensor((2, 12), "int8").astype(np.float32)
    graph = Graph(x=x)
    y = graph.op(relax.op.reshape(*graph.params, (4, 6)), x.reshape(4, 6))
    y = graph.op(relax.op.add(y, relax.const(np.float32(3))), graph.values[y] + 3)
    y = graph.op(relax.op.nn.relu(y), np.maximum(graph.values[y], 0))
    y = graph.op(relax.op.multiply(y, y), graph.values[y] ** 2)
    model, (expected,) = graph.model(y)
    with HOST.tvm():
        assert len(functions(legalize(model.mod))) == 1
    np.testing.assert_array_equal(run(model, graph.inputs)[0], expected)


def test_a_constant_is_computed_once_and_for_all():
    x = np.ones((3,), np.float32)
    graph = Graph(x=x)
    constant = graph.op(relax.op.exp(relax.const(np.zeros(3, np.float32))), np.ones(3, np.float32))
    y = graph.op(relax.op.add(*graph.params, constant), x + 1)
    model, (expected,) = graph.model(y)
    with HOST.tvm():
        (name,) = functions(legalize(model.mod))
    assert "exp" not in name
    np.testing.assert_array_equal(run(model, graph.inputs)[0], expected)


def test_scatter():
    """TVM writes it as loops over buffers of any offset, in parallel."""
    x, indices, updates = np.zeros((4, 3), np.float32), np.array([[2], [0]], np.int64), np.ones((2, 3), np.float32)
    graph = Graph(x=x, indices=indices, updates=updates)
    expected = np.float32([[1] * 3, [0] * 3, [1] * 3, [0] * 3])
    y = graph.op(relax.op.scatter_nd(*graph.params, reduction="update"), expected)
    model, _ = graph.model(y)
    np.testing.assert_array_equal(run(model, graph.inputs)[0], expected)

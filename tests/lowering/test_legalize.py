"""Float ops around int8 regions: what TVM's own legalization would get wrong, and what must be fused or free."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax

from tvmopt import backends
from tvmopt.lowering.legalize import legalize
from tvmopt.lowering.lower import lower
from tvmopt.model import Model
from tvmopt.quant import reference
from tvmopt.quant.params import QParams

from .graphs import Graph
from .harness import HOST
from .strategies import tensor


def run(model: Model, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(backends.build(lower(model, HOST), HOST).run(inputs).values())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("dynamic", [False, True], ids=["constant", "dynamic"])
def test_quantize_and_dequantize_are_those_of_onnx(dtype, axis, dynamic):
    rng = np.random.default_rng(0)
    shape = () if axis is None else (4,)
    p = QParams(rng.uniform(0.02, 0.1, shape).astype("f"), rng.integers(20, 90, shape).astype(dtype), axis)
    scale, _ = p.along(2)
    x = (rng.integers(-600, 600, (300, 4)) / 2 * scale).astype(np.float32)  # many ties
    x[:3, 0] = np.inf, -np.inf, 1e30
    params = {"scale": p.scale, "zero_point": p.zero_point} if dynamic else {}
    graph = Graph(x=x, **params)
    first, *given = graph.params
    scale, zero_point = given or (relax.const(p.scale), relax.const(p.zero_point))
    channel = -1 if axis is None else axis
    expected = reference.quantize(x, p)
    y = graph.op(relax.op.quantize(first, scale, zero_point, channel, dtype), expected)
    z = graph.op(relax.op.dequantize(y, scale, zero_point, channel), reference.dequantize(expected, p))
    model, values = graph.model(y, z)
    for got, wanted in zip(run(model, graph.inputs), values, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_indices_out_of_range_read_nothing_else():
    x, indices = np.arange(5, dtype=np.float32), np.array([0, 4, 5, 10**6, -1, -5, -6, -(10**6)], np.int32)
    graph = Graph(x=x, indices=indices)
    y = graph.op(relax.op.take(*graph.params, axis=0), x[[0, 4, 4, 4, 4, 0, 0, 0]])
    model, (expected,) = graph.model(y)
    np.testing.assert_array_equal(run(model, graph.inputs)[0], expected)


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

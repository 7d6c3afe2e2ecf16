"""Operators that TVM would lower otherwise than ONNX means them, unsafely, or slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tvm import relax

from tvmopt import backends
from tvmopt.lowering.lower import lower
from tvmopt.model import Model
from tvmopt.quant import reference
from tvmopt.quant.params import QParams

from .graphs import Graph
from .harness import HOST


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


@pytest.mark.parametrize("op", [relax.op.erf, relax.op.nn.gelu])
def test_erf_is_close(op):
    x = np.concatenate([np.linspace(-12, 12, 20001), np.geomspace(1e-30, 1, 1000)]).astype(np.float32)
    erf = np.array([math.erf(v if op is relax.op.erf else v * math.sqrt(0.5)) for v in x.astype(float)])
    expected = erf if op is relax.op.erf else x * (1 + erf) / 2
    graph = Graph(x=x)
    model, _ = graph.model(graph.op(op(*graph.params), x))
    (got,) = run(model, graph.inputs)
    assert np.abs(got - expected).max() <= 6 * 2**-24 * np.maximum(1, np.abs(expected).max())


def test_erf_at_the_ends():
    x = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    graph = Graph(x=x)
    model, _ = graph.model(graph.op(relax.op.erf(*graph.params), x))
    np.testing.assert_array_equal(run(model, graph.inputs)[0], [np.nan, 1, -1, 0])


@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 64), -1), ((2, 3, 64), 1), ((5, 7), 1), ((9,), 0)])
def test_softmax_is_close(shape, axis):
    x = np.random.default_rng(0).normal(0, 20, shape).astype(np.float32)
    power = np.exp((x - x.max(axis, keepdims=True)).astype(np.float64))
    expected = (power / power.sum(axis, keepdims=True)).astype(np.float32)
    graph = Graph(x=x)
    model, _ = graph.model(graph.op(relax.op.nn.softmax(*graph.params, axis), expected))
    np.testing.assert_allclose(run(model, graph.inputs)[0], expected, rtol=2e-6, atol=1e-37)


def test_softmax_of_what_has_no_sum():
    """A row with +inf or NaN gives NaN, one of -inf alone too; -inf beside numbers has no share."""
    x = np.zeros((5, 32), np.float32)
    x[0, 3], x[1, 4], x[2], x[3, :31] = np.inf, np.nan, -np.inf, -np.inf
    graph = Graph(x=x)
    model, _ = graph.model(graph.op(relax.op.nn.softmax(*graph.params, -1), x))
    (y,) = run(model, graph.inputs)
    assert np.isnan(y[0]).any() and np.isnan(y[1]).any() and np.isnan(y[2]).all()
    assert y[3].tolist() == [0] * 31 + [1]
    np.testing.assert_allclose(y[4], 1 / 32)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_index_of_the_first_of_the_largest(dtype, axis, keepdims):
    """Also where all elements are the lowest or the highest there are, infinite ones included."""
    values = [-np.inf, np.inf] if dtype == "float32" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    x = np.random.default_rng(0).choice(np.array([*values, 3]), (4, 3, 5)).astype(dtype)
    x[0], x[1] = values
    x[:, :, 0], x[:, :, 1] = values
    for op, expected in ((relax.op.argmax, np.argmax), (relax.op.argmin, np.argmin)):
        graph = Graph(x=x)
        y = graph.op(op(*graph.params, axis, keepdims), expected(x, axis, keepdims=keepdims))
        model, (wanted,) = graph.model(y)
        np.testing.assert_array_equal(run(model, graph.inputs)[0], wanted, strict=True)

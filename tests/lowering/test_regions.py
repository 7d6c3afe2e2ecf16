"""Whole graphs: what is stored how must never show in the results."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt import backends
from tvmopt.lowering.lower import lower
from tvmopt.lowering.regions import lower_regions
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Concat, Conv, Dequantize, Pool, Quantize, Table

from .graphs import Graph
from .harness import HOST
from .strategies import tensor

KEPT = msgspec.structs.replace(HOST, activation=None)
SIGNED = msgspec.structs.replace(HOST, activation="int8")


def run(graph: Graph, *outputs: relax.Var, target=HOST) -> None:
    """Compile, run, and compare with the expected values, bit for bit."""
    model, expected = graph.model(*outputs)
    results = backends.build(lower(model, target), target).run(graph.inputs)
    for got, wanted in zip(results.values(), expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def conv(x: QParams, channels: int, outputs: int, kernel: int = 3) -> Conv:
    """A convolution that keeps the size of its input."""
    w = QParams(np.full(outputs, 0.02, np.float32), np.zeros(outputs, np.int8), axis=0)
    weight = tensor((outputs, channels, kernel, kernel), "int8", outputs)
    y = QParams.per_tensor(0.9, 3, str(x.dtype))
    pad = (kernel // 2,) * 4
    return Conv(x, w, weight, np.arange(outputs, dtype=np.int32) * 50, y, y.range, (1, 1), pad, (1, 1))


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


MOVES = st.sampled_from(
    ["permute", "pad", "slice", "split", "join", "reshape", "flip", "take", "table", "pool", "conv", "resize", "tile"]
)


@given(moves=st.lists(MOVES, min_size=1, max_size=7), seed=st.integers(0, 1000), signed=st.booleans())
@settings(max_examples=30, deadline=None)
def test_random_chains(moves, seed, signed):
    rng = np.random.default_rng(seed)
    dtype = "int8" if signed else "uint8"
    shape = tuple(int(size) for size in rng.integers(1, 7, 4))
    graph = Graph(x=tensor(shape, dtype, seed))
    (x,) = graph.params
    kept = [x]
    for name in moves:
        x = step(graph, name, x, rng)
        kept.append(x)
    run(graph, x, kept[len(kept) // 2])


def step(graph: Graph, name: str, x: relax.Var, rng: np.random.Generator) -> relax.Var:
    """Append one op with random arguments."""
    value = graph.values[x]
    shape, rank = value.shape, value.ndim
    axis = int(rng.integers(rank))
    p = QParams.per_tensor(0.5, 7, value.dtype)
    if name == "permute":
        axes = [int(i) for i in rng.permutation(rank)]
        return graph.op(relax.op.permute_dims(x, axes), value.transpose(axes))
    if name == "pad":
        widths = rng.integers(0, 3, (rank, 2))
        fill = int(rng.integers(0, 100))
        padded = np.pad(value, widths, constant_values=fill)
        return graph.op(relax.op.nn.pad(x, [int(w) for w in widths.ravel()], "constant", fill), padded)
    if name == "slice":
        begin, stride = int(rng.integers(shape[axis])), int(rng.integers(1, 3))
        cut = value[tuple(slice(begin, None, stride) if i == axis else slice(None) for i in range(rank))]
        return graph.op(relax.op.strided_slice(x, [axis], [begin], [shape[axis]], [stride]), cut)
    if name == "split":
        at = int(rng.integers(1, shape[axis])) if shape[axis] > 1 else 0
        if at == 0:
            return x
        parts = np.split(value, [at], axis)
        both = graph.builder.emit(relax.op.split(x, [at], axis))
        fields = [graph.op(relax.TupleGetItem(both, i), part) for i, part in enumerate(parts)]
        return graph.op(relax.op.concat(fields[::-1], axis), np.concatenate(parts[::-1], axis))
    if name == "join":
        other = graph.region(Table(p, p, tensor((256,), value.dtype, 3)), x)
        return graph.region(Concat((p, p), p, axis), x, other)
    if name == "reshape":
        other = [int(np.prod(shape[:2])), *shape[2:]] if rank > 2 else [1, *shape, 1][: 5 - rank]
        other = other if np.prod(other) == value.size else [value.size]
        return graph.op(relax.op.reshape(x, other), value.reshape(other))
    if name == "flip":
        return graph.op(relax.op.flip(x, axis), np.flip(value, axis))
    if name == "take":
        indices = rng.integers(0, shape[axis], 3)
        return graph.op(relax.op.take(x, relax.const(indices.astype("int32")), axis), value.take(indices, axis))
    if name == "tile":
        return graph.op(relax.op.tile(x, [2, *[1] * (rank - 1)]), np.tile(value, [2, *[1] * (rank - 1)]))
    if name == "table":
        return graph.region(Table(p, p, tensor((256,), value.dtype, 3)), x)
    if rank != 4 or min(shape[2:]) < 2:
        return x
    if name == "pool":
        pool = Pool("max", p, p, (2, 2), (1, 1), (0,) * 4, (1, 1))
        return graph.op(relax.op.nn.max_pool2d(x, (2, 2)), reference.run(pool, value))
    if name == "conv":
        return graph.region(conv(p, shape[1], 6), x)
    doubled = value.repeat(2, axis=2).repeat(2, axis=3)
    size = [2 * shape[2], 2 * shape[3]]
    call = relax.op.image.resize2d(
        x, relax.ShapeExpr(size), layout="NCHW", method="nearest_neighbor",
        coordinate_transformation_mode="asymmetric", rounding_method="floor",
    )  # fmt: skip
    return graph.op(call, doubled)


def test_conversions_happen_once():
    """Two convolutions read one input: it is transposed once, and stays as it is between them."""
    graph = Graph(x=tensor((1, 4, 6, 6), "int8"))
    p = QParams.per_tensor(0.5, 7, "int8")
    a = graph.region(conv(p, 4, 16), *graph.params)
    b = graph.region(conv(p, 4, 8), *graph.params)
    model, _ = graph.model(a, b)
    mod, counts = lower_regions(model.mod, HOST)
    calls = [str(getattr(call.op, "name", "")) for call in bindings(mod)]
    assert counts == {"regions": 2, "inlined": 0}
    assert calls.count("relax.permute_dims") == 3  # the input, and both outputs
    assert calls.count("relax.bitwise_xor") == 3


def test_equal_kernels_are_one_function():
    graph = Graph(x=tensor((1, 16, 6, 6), "uint8"))
    p = QParams.per_tensor(0.9, 3, "uint8")
    a = graph.region(conv(p, 16, 16), *graph.params)
    b = graph.region(conv(p, 16, 16), a)
    mod, _ = lower_regions(graph.model(b)[0].mod, HOST)
    assert len([f for f in mod.functions.values() if isinstance(f, tvm.tirx.PrimFunc)]) == 1


def bindings(mod: tvm.IRModule) -> list[relax.Expr]:
    return [b.value for block in mod["main"].body.blocks for b in block.bindings if isinstance(b.value, relax.Call)]


def test_a_region_without_a_kernel_runs_in_float(monkeypatch):
    """Its body is the definition."""
    from tvmopt.lowering import regions

    monkeypatch.setattr(regions, "lower", lambda *_: None)
    graph = Graph(x=tensor((2, 3, 5, 7), "int8"))
    p, y = QParams.per_tensor(0.5, 7, "int8"), QParams.per_tensor(0.75, -20, "int8")
    a = graph.region(Pool("average", p, y, (2, 2), (1, 1), (0,) * 4, (1, 1)), *graph.params)
    model, expected = graph.model(a)
    lowered = lower(model, HOST)
    assert lowered.history[-1].after["inlined"] == 1
    (got,) = backends.build(lowered, HOST).run(graph.inputs).values()
    assert np.abs(got.astype(int) - expected[0]).max() <= 1

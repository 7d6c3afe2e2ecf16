"""Ops that move elements, in every storage, in any order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Concat, Pool, Table

from .graphs import Graph, conv, run
from .strategies import tensor

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

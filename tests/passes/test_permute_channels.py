import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt import frontend
from tvmopt.passes import pipeline
from tvmopt.passes.permute_channels import PermuteChannels, gathered
from tvmopt.quant.cost import counts
from tvmopt.quant.params import QParams

from .interpreter import run
from .networks import EXACT, networks
from .qdq import Qdq

X = QParams.per_tensor(0.05, 3, "int8")
W = QParams.per_tensor(0.01, 5, "int8")


def grouped(g, *outputs):
    return pipeline.run(frontend.load(g.model(*outputs)), sparsity=False).mod


def permuted(before):
    """The module after the pass, which must not have changed a bit of its results."""
    after = PermuteChannels()(before)
    relax.analysis.well_formed(after)
    shape = [int(d) for d in before["main"].params[0].ty.shape]
    for seed in range(3):
        x = np.random.default_rng(seed).normal(0, 5, shape).astype(np.float32)
        for ours, theirs in zip(run(after, x), run(before, x), strict=True):
            assert np.array_equal(ours, theirs)
    return after


def scattered(rng, outputs, inputs, *kernel):
    """A weight in which four outputs, anywhere, do not use the same inputs: three of four tiles could be zero."""
    used = np.repeat(rng.random((outputs // 4, inputs)) < 0.25, 4, axis=0)[rng.permutation(outputs)]
    values = rng.integers(-128, 128, (outputs, inputs, *kernel)).astype(np.int8)
    return np.where(used.reshape(outputs, inputs, *(1,) * len(kernel)), values, np.int8(W.zero_point))


def conv(g, x, weight, y, **attrs):
    return g.fake(g.node("Conv", x, g.weight(weight, W), **attrs), y)


def dense(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def between(middle):
    """conv with scattered zeros, ``middle`` on its 32 channels, conv."""
    rng, g = np.random.default_rng(0), Qdq()
    x = conv(g, g.input((1, 16, 6, 6), X), scattered(rng, 32, 16, 3, 3), X, pads=[1] * 4)
    return grouped(g, conv(g, middle(g, x, rng), dense(rng, 3, 32, 1, 1), X))


FREE = {
    "nothing": lambda g, x, rng: x,
    "depthwise": lambda g, x, rng: conv(g, x, dense(rng, 32, 1, 3, 3), X, group=32, pads=[1] * 4),
    "pool": lambda g, x, rng: g.fake(g.node("MaxPool", x, kernel_shape=[2, 2]), X),
    "table": lambda g, x, rng: g.fake(g.node("Sigmoid", x), X),
    "residual": lambda g, x, rng: g.fake(g.node("Add", x, conv(g, x, dense(rng, 32, 32, 1, 1), X)), X),
    "gate": lambda g, x, rng: g.fake(g.node("Mul", x, g.fake(g.node("GlobalAveragePool", x), X)), X),
    "constant": lambda g, x, rng: g.fake(g.node("Mul", x, g.weight(dense(rng, 1, 32, 1, 1), W)), X),
}


@pytest.mark.parametrize("middle", FREE)
def test_zeros_meet(middle):
    before = between(FREE[middle])
    after = permuted(before)
    assert counts(before)["zero_tiles"] < 0.5 * 8 * 16 * 9
    assert counts(after)["zero_tiles"] > 0.7 * 8 * 16 * 9
    assert counts(after) == counts(before) | {"zero_tiles": counts(after)["zero_tiles"]}


def test_matrix_products_of_rows():
    rng, g = np.random.default_rng(0), Qdq()
    x = g.input((1, 5, 16), X)
    x = g.fake(g.node("MatMul", x, g.weight(scattered(rng, 64, 16).T.copy(), W)), X)
    x = g.fake(g.node("Sigmoid", x), X)
    before = grouped(g, g.fake(g.node("MatMul", x, g.weight(dense(rng, 64, 8), W)), X))
    assert counts(permuted(before))["zero_tiles"] > counts(before)["zero_tiles"] + 50


def unchanged(before):
    stays = PermuteChannels()(before)
    tvm.ir.assert_structural_equal(tvm.IRModule(stays.functions), tvm.IRModule(before.functions))


def test_the_order_stays_where_it_is_seen():
    rng, g = np.random.default_rng(0), Qdq()
    shown = conv(g, g.input((1, 16, 6, 6), X), scattered(rng, 32, 16, 1, 1), X)
    unchanged(grouped(g, shown, conv(g, shown, dense(rng, 16, 32, 1, 1), X)))


def test_the_order_stays_before_a_grouped_convolution():
    rng, g = np.random.default_rng(0), Qdq()
    x = conv(g, g.input((1, 16, 4, 4), X), scattered(rng, 32, 16, 1, 1), X)
    x = conv(g, x, dense(rng, 32, 16, 1, 1), X, group=2)
    unchanged(grouped(g, conv(g, x, dense(rng, 8, 32, 1, 1), X)))


def test_the_order_stays_where_the_image_is_flattened():
    rng, g = np.random.default_rng(0), Qdq()
    x = conv(g, g.input((1, 16, 4, 4), X), scattered(rng, 32, 16, 1, 1), X)
    flat = g.fake(g.node("Flatten", x), X)
    unchanged(grouped(g, g.fake(g.node("Gemm", flat, g.weight(dense(rng, 8, 512), W), transB=1), X)))


def test_the_order_stays_where_it_makes_a_pattern():
    rng, g = np.random.default_rng(0), Qdq()
    x = conv(g, g.input((1, 16, 6, 6), X), scattered(rng, 32, 16, 1, 1), X)
    weight = dense(rng, 16, 8, 4, 1, 1)
    weight[:, :, ::2] = int(W.zero_point)  # 2:4
    unchanged(grouped(g, conv(g, x, weight.reshape(16, 32, 1, 1), X)))


def test_dense_weights_stay():
    unchanged(grouped(*dense_model()))


def dense_model():
    rng, g = np.random.default_rng(0), Qdq()
    x = conv(g, g.input((1, 3, 6, 6), X), dense(rng, 32, 3, 1, 1), X)
    return g, conv(g, x, dense(rng, 16, 32, 1, 1), X)


@given(case=networks(kinds=("conv", "conv", "depthwise", "gemm", "relu-conv", *EXACT), most=10, dead=True))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_order_changes_a_bit(case):
    model, x = case
    before = pipeline.run(frontend.load(model), sparsity=False).mod
    after = PermuteChannels()(before)
    relax.analysis.well_formed(after)
    for ours, theirs in zip(run(after, x), run(before, x), strict=True):
        assert np.array_equal(ours, theirs)
    if counts(after)["weights"] == counts(before)["weights"]:  # a constant operand goes, with what computed it
        assert counts(after)["zero_tiles"] >= counts(before)["zero_tiles"]


@given(channels=st.integers(1, 40), places=st.integers(1, 30), seed=st.integers(0, 999))
def test_an_order_has_every_channel_once(channels, places, seed):
    used = np.random.default_rng(seed).random((channels, places)) < 0.2
    assert sorted(gathered(used)) == list(range(channels))

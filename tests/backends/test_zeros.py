import numpy as np
import pytest

import tvmopt
from tests.passes.qdq import Qdq
from tvmopt.quant.params import QParams

X = QParams.per_tensor(0.05, 3, "int8")
W = QParams.per_tensor(0.01, 0, "int8")


@pytest.fixture(scope="module")
def model():
    """Convolutions without zeros, with one, with two of four, and the same with a weight of -128."""
    dense = np.random.default_rng(0).integers(1, 100, (8, 8, 1, 1)).astype(np.int8)
    one, pairs = dense.copy(), dense.copy()
    one[0, 0] = 0
    pairs[::2, ::2] = pairs[1::2, 1::2] = 0
    lowest = pairs.copy()
    lowest[0, 1] = -128
    g = Qdq()
    value = g.input((1, 8, 6, 6), X)
    for weight in (dense, one, pairs, lowest):
        value = g.fake(g.node("Conv", value, g.weight(weight, W)), X)
    return tvmopt.load(g.model(value))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("edge/ethos-u55-128", ["", "compressed", "compressed", "compressed"]),
        ("edge/ethos-u85-256", ["", "compressed", "sparse", "compressed"]),
        ("edge/systolic-64x64", ["", "dense", "dense", "dense"]),
        ("arm/cortex-m7", ["", "dense", "dense", "dense"]),
    ],
)
def test_inspect_tells_how_a_target_takes_zeros(model, target, expected):
    found = [op.format for op in tvmopt.inspect(model, target).ops if op.op == "conv 1x1"]
    assert [one.partition(":")[0] for one in found] == expected
    assert ("-128" in found[-1]) == ("u85" in target)

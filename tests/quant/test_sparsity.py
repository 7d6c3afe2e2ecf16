import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, MatMul
from tvmopt.quant.sparsity import analyse, follows, zero_blocks

X = QParams.per_tensor(0.1, 3, "uint8")


def matmul(weight, zero_point=0):
    b = QParams.per_tensor(0.1, zero_point, "int8")
    return MatMul(X, b, weight.astype(np.int8), None, X, X.range)


def test_zeros_are_what_equals_the_zero_point():
    weight = np.array([[5, 5, 0, 5], [5, 1, 2, 5], [5, 5, 5, 5]])
    zeros = analyse(matmul(weight, 5))
    assert (zeros.weights, zeros.zeros) == (12, 9)
    assert (zeros.dead_outputs, zeros.dead_inputs) == (2, 1)


def test_zero_points_of_channels():
    w = QParams(np.ones(2, np.float32), np.int8([1, -4]), 0)
    weight = np.int8([[[[1]], [[1]]], [[[1]], [[-4]]]])
    zeros = analyse(Conv(X, w, weight, np.zeros(2, np.int32), X, X.range, (1, 1), (0,) * 4, (1, 1)))
    assert (zeros.zeros, zeros.dead_outputs, zeros.dead_inputs) == (3, 1, 1)


@pytest.mark.parametrize(("n", "expected"), [(1, "1:4"), (2, "2:4"), (3, ""), (0, "1:4")])
def test_patterns(n, expected):
    rng = np.random.default_rng(n)
    weight = np.zeros((16, 6))
    for start in range(0, 16, 4):
        for column in range(6):
            weight[start + rng.permutation(4)[:n], column] = rng.integers(1, 9, n)
    assert analyse(matmul(weight)).pattern == expected


def test_a_pattern_needs_whole_groups():
    assert not follows(np.zeros((3, 6, 1), bool), 2, 4)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    block=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 999),
)
def test_blocks_one_by_one(shape, block, seed):
    used = np.random.default_rng(seed).random(shape) < 0.2
    outputs, inputs, taps = shape
    found = [
        not used[o : o + block[0], i : i + block[1], t].any()
        for o in range(0, outputs, block[0])
        for i in range(0, inputs, block[1])
        for t in range(taps)
    ]
    assert zero_blocks(used, *block) == pytest.approx(np.mean(found))

"""How weights are cut into tiles."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lowering.strategies import tensor
from tvmopt.backends.systolic.tiling import Span, cut, matrices, parameters
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, MatMul

from .harness import machine

X = QParams.per_tensor(0.5, 130, "uint8")
Y = QParams.per_tensor(0.25, 0, "int8")
W = QParams(np.float32([0.5, 1.0]), np.int8([0, 0]), 1)


def depthwise(channels: int, weight: np.ndarray) -> Conv:
    w = QParams.per_tensor(1.0, 0, "int8")
    bias = np.zeros(channels, np.int32)
    return Conv(X, w, weight, bias, Y, Y.range, (1, 1), (0,) * 4, (1, 1), channels)


def test_cut() -> None:
    assert cut(10, 4) == [Span(0, 4), Span(4, 4), Span(8, 2)]
    assert cut(0, 4) == []


@pytest.mark.parametrize(("columns", "together"), [(64, 7), (4, 4)])
def test_groups_share_tiles(columns: int, together: int) -> None:
    """As many 3x3 windows as fit 64 rows, as long as there are columns for them."""
    weight = tensor((9, 1, 3, 3), "int8")
    found = list(matrices(depthwise(9, weight), machine(rows=64, columns=columns)))
    assert [(m.channel, m.channels, m.column) for m in found][:2] == [
        (0, together, 0),
        (together, min(together, 9 - together), together),
    ]
    first = found[0].weight.reshape(9, together, together)
    for channel in range(together):
        np.testing.assert_array_equal(first[:, channel, channel], weight[channel].reshape(9))
    assert np.count_nonzero(first) == np.count_nonzero(weight[:together])


def test_groups_that_are_too_large_are_alone() -> None:
    weight = tensor((4, 8, 3, 3), "int8")
    region = Conv(X, QParams.per_tensor(1.0, 0, "int8"), weight, np.zeros(4, np.int32), Y, Y.range, (1, 1), (0,) * 4,
                  (1, 1), 2)  # fmt: skip
    first, second = matrices(region, machine(rows=64))
    assert (first.weight.shape, first.channel, first.column) == ((72, 2), 0, 0)
    assert (second.weight.shape, second.channel, second.column) == ((72, 2), 8, 2)
    np.testing.assert_array_equal(second.weight[:, 1].reshape(3, 3, 8), weight[3].transpose(1, 2, 0))


def test_zero_points_are_in_the_bias() -> None:
    weight = np.int8([[1, -2], [3, 4], [5, 6]])
    multiplier, bias = parameters(MatMul(X, W, weight, np.int32([10, 20]), Y, Y.range))
    np.testing.assert_array_equal(multiplier, np.float32([1.0, 2.0]))
    np.testing.assert_array_equal(bias, [10 - 2 * 9, 20 - 2 * 8])  # 130 of uint8 is 2 of int8

"""Regions on fewer channels, and which of them are depthwise."""

import numpy as np
import pytest

from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv
from tvmopt.quant.slicing import is_depthwise

P = QParams.per_tensor(0.5, 3, "int8")


@pytest.mark.parametrize(
    ("shape", "groups", "expected"),
    [
        ((8, 1, 3, 3), 8, True),
        ((8, 2, 3, 3), 8, False),  # every output has two inputs of its own
        ((16, 1, 3, 3), 8, False),  # every input has two outputs
        ((8, 8, 3, 3), 1, False),
        ((1, 1, 3, 3), 1, False),
    ],
)
def test_depthwise_is_one_input_for_one_output(shape, groups, expected):
    region = Conv(
        P, P, np.zeros(shape, np.int8), np.zeros(shape[0], np.int32), P, P.range, (1, 1), (0,) * 4, (1, 1), groups
    )
    assert is_depthwise(region) == expected

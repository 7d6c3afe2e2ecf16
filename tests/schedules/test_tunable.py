"""Every decision that a search may take gives a function that builds and computes the same."""

import random

import numpy as np
import pytest
import tvm

from tests.lowering.harness import RUNNABLE, call, store
from tests.lowering.strategies import tensor
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv
from tvmopt.tuning import extract, space

SAMPLES = 4


def convolution(channels: int, outputs: int, kernel: int, groups: int = 1) -> Conv:
    x, w, y = (QParams.per_tensor(scale, 3, "int8") for scale in (0.1, 0.1, 2.0))
    weight = tensor((outputs, channels // groups, kernel, kernel), "int8")
    padding = (kernel // 2,) * 4
    return Conv(x, w, weight // 2, np.arange(outputs, dtype=np.int32), y, (-128, 127), (1, 1), padding, (1, 1), groups)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize(
    "region",
    [
        convolution(24, 40, 3),
        convolution(64, 80, 3),
        convolution(30, 20, 1),
        convolution(40, 40, 3, 40),
        convolution(20, 20, 5, 20),
    ],
    ids=["3x3", "3x3 of many weights", "1x1", "depthwise", "wide depthwise"],
)
def test_any_decision(region, name):
    target = targets.get(name)
    x = tensor((1, region.weight.shape[1] * region.groups, 9, 11), "int8", seed=1)
    expected = reference.run(region, x)
    (held,) = wants(region, (Stored(x.shape, "int8"),), target)
    kernel = lower(region, (held,), expected.shape, target)
    task = extract.of("conv", kernel.func, target)
    rng = random.Random(0)
    for decisions in [space.default(task), *(space.sample(task, rng) for _ in range(SAMPLES))]:
        func = space.apply(task, decisions)
        library = tvm.tirx.build(func.with_attr("global_symbol", "main"), target=target.tvm())
        np.testing.assert_array_equal(call(library, kernel, [store(x, held)], expected.dtype), expected)

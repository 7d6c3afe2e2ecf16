"""Every decision that a search may take gives a function that builds and computes the same."""

import random
from importlib import import_module

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule

from tests.lowering.harness import RUNNABLE, restore, store
from tests.lowering.strategies import tensor
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

SAMPLES = 4


def convolution(channels: int, outputs: int, kernel: int, groups: int = 1) -> Conv:
    x, w, y = (QParams.per_tensor(scale, 3, "int8") for scale in (0.1, 0.1, 2.0))
    weight = tensor((outputs, channels // groups, kernel, kernel), "int8")
    padding = (kernel // 2,) * 4
    return Conv(x, w, weight // 2, np.arange(outputs, dtype=np.int32), y, (-128, 127), (1, 1), padding, (1, 1), groups)


def space(func: tvm.tirx.PrimFunc, target: targets.Target) -> Schedule:
    """The schedule with sampled decisions of the first rule that takes ``func``."""
    rules = (import_module(f"tvmopt.schedules.{name}").rule() for name in target.schedules)
    found = (rule.apply(func, target.tvm(), tunable=True) for rule in rules)
    return next(sch for sch in found if sch is not None)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize(
    "region",
    [convolution(24, 40, 3), convolution(30, 20, 1), convolution(40, 40, 3, 40), convolution(20, 20, 5, 20)],
    ids=["3x3", "1x1", "depthwise", "wide depthwise"],
)
def test_any_decision(region, name):
    target = targets.get(name)
    x = tensor((1, region.weight.shape[1] * region.groups, 9, 11), "int8", seed=1)
    expected = reference.run(region, x)
    (held,) = wants(region, (Stored(x.shape, "int8"),), target)
    kernel = lower(region, (held,), expected.shape, target)
    trace = space(kernel.func, target).trace
    rng = random.Random(0)

    def decide(instruction, inputs, attrs, decision):
        return rng.randrange(len(attrs[0])) if instruction.kind.name == "SampleCategorical" else decision

    for _ in range(SAMPLES):
        sch = Schedule(kernel.func)
        trace.apply_to_schedule(sch, remove_postproc=False, decision_provider=decide)
        library = tvm.tirx.build(sch.mod["main"].with_attr("global_symbol", "main"), target=target.tvm())
        out = tvm.runtime.empty(kernel.out.physical, kernel.out.dtype)
        library["main"](*map(tvm.runtime.tensor, (store(x, held), *kernel.constants)), out)
        np.testing.assert_array_equal(restore(out.numpy(), kernel.out, expected.dtype), expected)

"""A thread per element: any region, and the float operators around them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from tvm import relax

from tests.lowering.strategies import tensor
from tests.quant.regions import regions
from tvmopt import target as targets
from tvmopt.lowering.legalize import legalize
from tvmopt.lowering.schedule import apply, schedule
from tvmopt.lowering.threads import grant
from tvmopt.quant.regions import Pool, Region, WeightOnly

from . import gpu
from .convolutions import A, conv
from .cuda import Case, source

TARGET = targets.get("cuda/sm_80")


def pool(channels: int, size: int) -> tuple[Region, tuple[np.ndarray, ...]]:
    """A padded average over 3 x 3 pixels, and its input."""
    region = Pool("average", A, A, (3, 3), (1, 1), (1,) * 4, (1, 1), False, False)
    return region, (tensor((1, channels, size, size), "int8", 1),)


@given(case=regions.filter(lambda case: not isinstance(case[0], WeightOnly)))  # whose sums are floats
@settings(max_examples=60, deadline=None)
def test_random_regions(case):
    region, inputs = case
    Case(region, inputs, TARGET).check()


@pytest.mark.parametrize(
    ("region", "elements"),
    [(conv(40, 80, 3, 9, groups=40), 4), (pool(40, 9), 4), (pool(39, 9), 1)],
    ids=["depthwise", "pool", "pool of channels that are no multiple of 4"],
)
def test_threads_keep_only_their_own_sums(region, elements):
    """TVM would give every thread room for the sums of a row, in memory."""
    func = Case(*region, TARGET).kernel.func
    text = source({"kernel": apply("cuda_generic", func, TARGET)}, TARGET)
    assert {int(size) for size in re.findall(r"int \w+_local_ptr\[(\d+)\]", text)} == {elements}


@pytest.mark.parametrize("shape", [(3, 5), (1, 200), (130, 12)])
@pytest.mark.parametrize(
    ("op", "numpy"),
    [
        (relax.op.nn.relu, lambda x: np.maximum(x, 0)),
        (lambda x: relax.op.sum(x, 1), lambda x: x.sum(1)),
        (lambda x: relax.op.max(x), lambda x: x.max()),
        (lambda x: relax.op.permute_dims(x), lambda x: x.T),
        (
            lambda x: relax.op.nn.softmax(x, 1),
            lambda x: np.exp(x - x.max(1, keepdims=True)) / np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True),
        ),
    ],
    ids=["relu", "sum", "max of all", "transpose", "softmax"],
)
def test_float_operators(op, numpy, shape):
    check_operator(op, numpy, shape)


def test_product_of_floats():
    check_operator(lambda x: relax.op.matmul(x, x), lambda x: x @ x, (2, 32, 32))


def check_operator(op, numpy, shape):
    """What a float operator gives is numpy's, but for the order of sums."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit_output(builder.emit(op(x)))
        builder.emit_func_output(y)
    mod = schedule(grant(legalize(builder.get()), TARGET, 1), TARGET)
    (func,) = (f for gv, f in mod.functions_items() if gv.name_hint != "main")
    value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = numpy(value)
    result = gpu.execute(func, TARGET, [value] * (len(func.params) - 1), np.zeros(expected.shape, np.float32))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)

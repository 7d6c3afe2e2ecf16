"""Products by AArch64's 16-bit sums, dense and sparse, equal the reference on an emulated CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.lowering.sparse import test_lower as sparse
from tests.lowering.strategies import tensor
from tvmopt import target as targets
from tvmopt.lowering import sparse as lowering
from tvmopt.lowering.dispatch import lower
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.schedule import apply
from tvmopt.quant.regions import MatMul, Residual

from .emulated import Case, check
from .test_arm_dotprod import REGIONS, unary

TARGET = targets.get("arm/cortex-a53")


def fitting(case: Case) -> Case:
    """A case whose weights less their zero points are such that 16 bits hold two products of any."""
    region, inputs = case
    if isinstance(region, Residual):
        return replace(region, product=fitting((region.product, ()))[0]), inputs
    if region.weight is None:
        return case
    zero = (region.b if isinstance(region, MatMul) else region.w).along(region.weight.ndim)[1].astype(int)
    weight = region.weight.astype(int).clip(zero - 127, zero + 127)
    return replace(region, weight=weight.astype(region.weight.dtype)), inputs


@pytest.mark.parametrize("kind", REGIONS)
@given(data=st.data())
@settings(max_examples=2, deadline=None, phases=[Phase.generate])
def test_random_regions(kind, data):
    regions, count = REGIONS[kind]
    check([data.draw(regions.map(fitting)) for _ in range(count)], TARGET)


@pytest.mark.parametrize("cases", [sparse.matmuls(), sparse.convolutions()], ids=["products", "convolutions"])
@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_random_sparse_regions(cases, data):
    check([data.draw(unary(cases).map(fitting)) for _ in range(8)], TARGET, sparse.forced("groups"))


@pytest.mark.parametrize("lower", [lower, sparse.forced("groups")], ids=["dense", "sparse"])
def test_extremes(lower):
    """Of 16 bits: every product is the largest or the smallest there is."""
    region = sparse.product(0.9)
    weight = np.where(region.weight == 0, 0, np.where(np.arange(256) % 2, 127, -127)).astype(np.int8)
    inputs = (np.broadcast_to(np.array([[0], [255]], np.uint8), (2, 512)).copy(),)
    check([(replace(region, weight=weight), inputs)], TARGET, lower)


@pytest.mark.parametrize("lowest", [-127, -128])
def test_weights_that_16_bits_do_not_hold(lowest):
    """Products of -128 are summed one by one, and no sparse kernel takes them."""
    region = sparse.product(0.9)
    region.weight[0, 0] = lowest
    held, fits = (Stored((128, 512), "int8"),), lowest == -127
    choice = lowering.lower(region, held, (128, 256), TARGET)
    assert (choice.kernel is not None) == fits
    assert choice.why.startswith("sparse" if fits else "dense: the target has no sparse kernel for these operands")
    scheduled = apply("arm_neon", lower(region, held, (128, 256), TARGET).func, TARGET)
    assert (scheduled is not None and "saddlp" in scheduled.script()) == fits
    check([(region, (tensor((128, 512), "uint8"),))], TARGET)

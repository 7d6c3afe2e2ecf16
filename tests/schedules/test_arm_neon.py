"""Sparse products of AArch64 without dot product equal the reference on an emulated CPU."""

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
from tvmopt.lowering.kernel import Stored
from tvmopt.quant.slicing import centered

from .emulated import check

TARGET = targets.get("arm/cortex-a53")


def fits(case) -> bool:
    """Whether two products of a weight and any activation are held by 16 bits."""
    return bool(np.abs(centered(case[0]).astype(int)).max(initial=0) <= 127)


@pytest.mark.parametrize("cases", [sparse.matmuls(), sparse.convolutions()], ids=["products", "convolutions"])
@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_random_regions(cases, data):
    narrow = cases.filter(fits).map(lambda case: (case[0], (case[1],)))
    check([data.draw(narrow) for _ in range(8)], TARGET, sparse.forced("groups"))


def test_extremes():
    """Of 16 bits: every product is the largest or the smallest there is."""
    region = sparse.product(0.9)
    weight = np.where(region.weight == 0, 0, np.where(np.arange(256) % 2, 127, -127)).astype(np.int8)
    inputs = (np.broadcast_to(np.array([[0], [255]], np.uint8), (2, 512)).copy(),)
    check([(replace(region, weight=weight), inputs)], TARGET, sparse.forced("groups"))


@pytest.mark.parametrize("lowest", [-127, -128])
def test_weights_that_16_bits_do_not_hold(lowest):
    region = sparse.product(0.9)
    region.weight[0, 0] = lowest
    choice = lowering.lower(region, (Stored((128, 512), "int8"),), (128, 256), TARGET)
    assert (choice.kernel is None) == (lowest == -128)
    if choice.kernel is None:
        assert choice.why == "dense: the target has no sparse kernel for these operands"
    else:
        check([(region, (tensor((128, 512), "uint8"),))], TARGET)

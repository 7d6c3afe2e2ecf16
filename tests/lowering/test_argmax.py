"""Kernels of ArgMax."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant.regions import argmaxes
from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import ArgMax

from .harness import RUNNABLE, check
from .strategies import tensor


@given(case=argmaxes(), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_random_regions(case, last, shifted):
    """However the tensor is stored; often several elements are the largest."""
    region, inputs = case
    check(region, *inputs, last=last, shifted=shifted, threads=1)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("keepdims", [False, True])
def test_classes_of_pixels(name, keepdims):
    x = QParams.per_tensor(0.1, 3, "uint8")
    check(ArgMax(x, 1, keepdims), tensor((2, 21, 7, 9), "uint8"), target=targets.get(name), last=True, threads=1)

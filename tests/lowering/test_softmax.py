"""Kernels of softmax in fixed point."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quant.regions import softmaxes
from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Softmax

from .harness import RUNNABLE, check
from .strategies import tensor


@given(case=softmaxes(), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_random_regions(case, last, shifted):
    region, inputs = case
    check(replace(region, requantize="fixed"), *inputs, last=last, shifted=shifted, threads=1)


@pytest.mark.parametrize("name", RUNNABLE)
def test_attention(name):
    x, y = QParams.per_tensor(0.1, 3, "uint8"), QParams.per_tensor(1 / 256, 0, "uint8")
    check(Softmax(x, y, 3, requantize="fixed"), tensor((1, 2, 33, 33), "uint8"), target=targets.get(name), threads=1)

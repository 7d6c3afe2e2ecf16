"""The rules for Cortex-M have nothing of Arm in them but their choices, so this machine runs what they make."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets

from ..lowering.harness import check
from ..lowering.strategies import convolutions
from ..lowering.test_residual import residuals

GENERIC = targets.get("x86/generic")


def scheduled(rule, vector_width):
    llvm = msgspec.structs.replace(GENERIC.llvm, vector_width=vector_width)
    return msgspec.structs.replace(GENERIC, schedules=[rule, "generic"], llvm=llvm)


@pytest.mark.parametrize(("rule", "vector_width"), [("arm_m", 32), ("arm_m", 128), ("arm_mve", 128)])
@given(case=convolutions(), shifted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_random_convolutions(rule, vector_width, case, shifted):
    region, x = case
    check(region, x, target=scheduled(rule, vector_width), shifted=shifted, threads=1)


@pytest.mark.parametrize(("rule", "vector_width"), [("arm_m", 32), ("arm_mve", 128)])
@given(case=residuals())
@settings(max_examples=10, deadline=None)
def test_random_residuals(rule, vector_width, case):
    region, inputs = case
    check(region, *inputs, target=scheduled(rule, vector_width), threads=1)

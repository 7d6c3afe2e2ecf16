import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets

from .harness import check
from .strategies import depthwise_convolutions

TARGETS = ["x86/generic", "x86/avx2", "x86/skylake-avx512", "x86/cascadelake"]


@pytest.mark.parametrize("target", TARGETS)
@given(case=depthwise_convolutions(), shifted=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_random_regions(target, case, shifted, threads):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted, threads=threads)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets

from .harness import RUNNABLE, check
from .strategies import depthwise_convolutions


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=depthwise_convolutions(), shifted=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_random_regions(target, case, shifted, threads):
    region, x = case
    check(region, x, target=targets.get(target), shifted=shifted, threads=threads)

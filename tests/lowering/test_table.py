import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.lowering.table import clamp
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Table

from .harness import RUNNABLE, check
from .strategies import params, tensor


@given(x=params(), y=params(), seed=st.integers(0, 100), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_table(x, y, seed, last, shifted):
    table = tensor((256,), y.dtype, seed)
    check(Table(x, y, table), tensor((2, 3, 5, 7), x.dtype), last=last, shifted=shifted, threads=1)


@given(
    x=params("int8"),
    y=params("int8"),
    shift=st.integers(-200, 200),
    ends=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    shifted=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_clamp_tables(x, y, shift, ends, shifted):
    table = np.clip(np.arange(-128, 128) + shift, min(ends), max(ends)).astype("int8")
    assert clamp(table, -128) is not None
    check(Table(x, y, table), tensor((3, 100), "int8"), shifted=shifted, threads=1)


def test_a_table_that_is_no_clamp():
    table = np.arange(256, dtype="uint8")
    table[7] = 8
    assert clamp(table, 0) is None
    assert clamp(table[::-1].copy(), 0) is None


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("size", [1, 31, 32, 33, 64, 1000])
def test_every_entry_and_every_rest(target, size):
    p = QParams.per_tensor(1.0, 0, "uint8")
    table = np.random.default_rng(size).permutation(256).astype("uint8")
    x = np.arange(size).astype("uint8").reshape(1, size)
    check(Table(p, p, table), x, target=targets.get(target), threads=2)

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.lowering.table import clamp
from tvmopt.quant.regions import Table

from .harness import check
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

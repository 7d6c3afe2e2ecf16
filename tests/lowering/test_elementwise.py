import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary

from .harness import RUNNABLE, check
from .strategies import clamps, modes, params, tensor

SHAPES = [
    ((2, 5, 3, 4), (2, 5, 3, 4)),
    ((2, 5, 3, 4), (2, 5, 1, 1)),
    ((1, 5, 1, 1), (2, 5, 3, 4)),
    ((2, 5, 3, 4), (5, 1, 1)),
    ((4,), (2, 5, 3, 4)),
    ((2, 1, 3, 1), (1, 5, 1, 4)),
    ((3, 7), (7,)),
    ((), (3,)),
]


@st.composite
def regions(draw: st.DrawFn) -> tuple[Binary, tuple[np.ndarray, ...]]:
    a, b, y = draw(params()), draw(params()), draw(params())
    shape_a, shape_b = draw(st.sampled_from(SHAPES))
    right = tensor(shape_b, b.dtype, 1)
    constant = draw(st.booleans())
    op = draw(st.sampled_from(["add", "sub", "mul"]))
    region = Binary(op, a, b, right if constant else None, y, draw(clamps(y)), requantize=draw(modes))
    left = tensor(shape_a, a.dtype, 2)
    return region, (left,) if constant else (left, right)


@given(case=regions(), target=st.sampled_from(RUNNABLE), last=st.booleans(), shifted=st.booleans())
@settings(max_examples=60, deadline=None)
def test_random_regions(case, target, last, shifted):
    region, inputs = case
    check(region, *inputs, target=targets.get(target), last=last, shifted=shifted, threads=1)


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("mode", ["float", "fixed"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("target", RUNNABLE)
def test_every_pair_of_values(op, dtype, target, mode):
    info = np.iinfo(dtype)
    values = np.arange(info.min, info.max + 1, dtype=dtype)
    a = QParams.per_tensor(0.0173, info.min + 120, dtype)
    b = QParams.per_tensor(0.0311, info.min + 3, dtype)
    y = QParams.per_tensor(0.0407, info.min + 77, dtype)
    pairs = np.repeat(values, 256), np.tile(values, 256)
    check(Binary(op, a, b, None, y, y.range, requantize=mode), *pairs, target=targets.get(target), threads=1)

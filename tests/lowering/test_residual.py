import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Conv, Residual

from .harness import RUNNABLE, check
from .strategies import clamps, convolutions, matmuls, params, tensor


@st.composite
def residuals(draw: st.DrawFn) -> tuple[Residual, tuple[np.ndarray, ...]]:
    """Products of any shape, combined with another tensor on either side; all in one arithmetic."""
    products = convolutions().map(lambda case: (case[0], (case[1],))) | matmuls()
    product, inputs = draw(products.filter(lambda case: case[0].y is not None and getattr(case[0], "groups", 1) == 1))
    other, y, second = draw(params()), draw(params()), draw(st.booleans())
    a, b = (other, product.y) if second else (product.y, other)
    op = draw(st.sampled_from(["add", "add", "sub", "mul"]))
    combine = Binary(op, a, b, None, y, draw(clamps(y)), requantize=product.requantize)
    region = Residual(product, combine, second, requantize=product.requantize)
    shape = reference.run(product, *inputs).shape
    return region, (*inputs, tensor(shape, other.dtype, 5))


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=residuals(), shifted=st.booleans(), last=st.booleans(), threads=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_random_regions(target, case, shifted, last, threads):
    region, inputs = case
    check(region, *inputs, target=targets.get(target), shifted=shifted, last=last, threads=threads)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("mode", ["float", "fixed"])
@pytest.mark.parametrize(("scale", "ratio"), [(1e-9, 1.0), (1.0, 1e-3), (0.01, 1e6)])
def test_edges(target, mode, scale, ratio):
    """Sums, and sums with another tensor, that are far beyond what bytes or 32 bits hold."""
    x, mid = QParams.per_tensor(1.0, 3, "uint8"), QParams.per_tensor(scale, 77, "uint8")
    other, y = QParams.per_tensor(1.0, 255, "uint8"), QParams.per_tensor(1 / ratio, 5, "uint8")
    weight, bias = tensor((64, 16, 1, 1), "int8"), np.arange(64, dtype=np.int32) << 20
    conv = Conv(
        x,
        QParams.per_tensor(1.0, 0, "int8"),
        weight,
        bias,
        mid,
        (7, 200),
        (1, 1),
        (0,) * 4,
        (1, 1),
        requantize=mode,
    )
    combine = Binary("add", mid, other, None, y, (5, 255), requantize=mode)
    inputs = tensor((1, 16, 5, 5), "uint8"), tensor((1, 64, 5, 5), "uint8", 1)
    check(Residual(conv, combine, False, requantize=mode), *inputs, target=targets.get(target), threads=1)

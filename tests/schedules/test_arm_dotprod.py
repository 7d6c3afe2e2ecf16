"""Products by AArch64's dot product, dense and sparse, equal the reference on an emulated CPU."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests import tools
from tests.lowering.graphs import run
from tests.lowering.sparse import test_lower as sparse
from tests.lowering.strategies import activation_matmuls, convolutions, matmuls, tensor
from tests.lowering.test_residual import residuals
from tests.lowering.test_widen import chain
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.packing import narrowest
from tvmopt.lowering.schedule import apply
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import MatMul
from tvmopt.quant.slicing import centered

from .emulated import check


def unary(cases):
    return cases.map(lambda case: (case[0], (case[1],)))


REGIONS = {  # and how many are run together
    "convolutions": (unary(convolutions()), 10),
    "products": (matmuls() | activation_matmuls(), 10),
    "residuals": (residuals(), 2),  # rejects what it draws now and then, and all others with it
}

TARGET = targets.get("arm/cortex-a76")


@pytest.mark.parametrize("kind", REGIONS)
@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])  # to shrink would take minutes
def test_random_regions(kind, data):
    regions, count = REGIONS[kind]
    check([data.draw(regions) for _ in range(count)], TARGET)


@pytest.mark.parametrize("cases", [sparse.matmuls(), sparse.convolutions()], ids=["products", "convolutions"])
@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_random_sparse_regions(cases, data):
    narrow = cases.filter(lambda case: narrowest(centered(case[0])) == "int8")
    check([data.draw(unary(narrow)) for _ in range(8)], TARGET, sparse.forced("groups"))


@pytest.mark.parametrize(("zero_point", "taken"), [(0, True), (-100, False)])
def test_only_weights_of_8_bits(zero_point, taken):
    """A weight less its zero point may need more."""
    a, b, y = (QParams.per_tensor(scale, zero, "int8") for scale, zero in ((0.02, 3), (0.01, zero_point), (0.5, 7)))
    region = MatMul(a, b, tensor((64, 32), "int8"), None, y, (-128, 127))
    kernel = lower(region, (Stored((16, 64), "int8"),), (16, 32), TARGET)
    scheduled = apply("arm_dotprod", kernel.func, TARGET)
    assert (scheduled is not None and "sdot" in scheduled.script()) == taken


def test_channels_that_are_added_change_nothing():
    tools.need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    graph, tensors = chain()
    run(graph, tensors[-1], target=TARGET)

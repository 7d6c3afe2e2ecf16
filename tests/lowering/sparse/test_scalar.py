"""Sparse products of CPUs without vectors equal the reference on an emulated one."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.lowering.graphs import Graph, run
from tests.lowering.strategies import tensor
from tests.schedules.emulated import check
from tvmopt import target as targets
from tvmopt.lowering import sparse
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.packing import narrowest
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv
from tvmopt.quant.slicing import centered

from .test_lower import SCALES, forced, matmuls, product

A53 = targets.get("arm/cortex-a53")
PLAIN = msgspec.structs.replace(A53, schedules=["generic"], llvm=msgspec.structs.replace(A53.llvm, vector_width=32))
"""A CPU whose vectors are not used: programs for it run many kernels at once, unlike a microcontroller's."""

M4 = targets.get("arm/cortex-m4")


@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_random_products(data):
    cases = matmuls().filter(lambda case: narrowest(centered(case[0])) == "int8")
    check([(region, (x,)) for region, x in (data.draw(cases) for _ in range(8))], PLAIN, forced("groups"))


def pointwise(kernel: int) -> Conv:
    """[N, 40, H, W] -> [N, 22, H, W], a tenth of its weights not 0."""
    rng = np.random.default_rng(kernel)
    x, w, y = (QParams.per_tensor(*scale) for scale in SCALES)
    weight = rng.integers(-127, 128, (22, 40, kernel, kernel)) * (rng.random((22, 40, kernel, kernel)) < 0.1)
    bias = rng.integers(-999, 999, 22).astype(np.int32)
    return Conv(x, w, weight.astype(np.int8), bias, y, (100, 255), (1, 1), (kernel // 2,) * 4, (1, 1))


def test_pointwise_convolutions():
    check([(pointwise(1), (tensor((2, 40, 3, 5), "uint8"),))], PLAIN, forced("groups"))


def test_only_pixels_by_themselves():
    choice = sparse.lower(pointwise(3), (Stored((1, 40, 8, 8), "int8", True),), (1, 22, 8, 8), M4)
    assert choice == sparse.Choice(None, "dense: without vectors, kernels of single pixels alone are sparse")


@pytest.mark.parametrize("blocks", [True, False])
def test_dense_competes(blocks):
    """Of half of the weights anywhere, hardly an input is used by none of 4 outputs."""
    region = product(0.5 if blocks else 0)
    if not blocks:
        kept = np.random.default_rng(0).random(region.weight.shape) < 0.5
        region = replace(region, weight=region.weight * kept)
    choice = sparse.lower(region, (Stored((16, 512), "int8"),), (16, 256), M4)
    assert (choice.kernel is not None) == blocks


@pytest.mark.parametrize("mode", ["float", "fixed"])
def test_on_a_microcontroller(mode):
    """Two layers, each with as many outputs as inputs: none may be written over what is still read."""
    graph = Graph(x=tensor((6, 256), "int8"))
    a = QParams.per_tensor(0.02, 3, "int8")
    region = product(0.9)
    square = replace(region, a=a, y=a, weight=region.weight[:256], clamp=(-128, 127), requantize=mode)
    run(graph, graph.region(square, graph.region(square, *graph.params)), target=M4)

"""Which 2:4 weights GPUs multiply in pairs; that these give the reference's bits, ``tests/schedules`` shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.lowering.graphs import Graph
from tests.schedules.convolutions import conv, in_pairs, matmul
from tvmopt import target as targets
from tvmopt.lowering import lower, sparse
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.sparse import pairs

TARGET = targets.get("cuda/sm_80")


def choice(rows: int, length: int, columns: int, arch: str = "sm_80") -> sparse.Choice | None:
    region, (x,) = in_pairs(matmul(rows, length, columns))
    return sparse.lower(region, (Stored(x.shape, "uint8"),), (rows, columns), targets.get(f"cuda/{arch}"))


def test_long_reductions_pay():
    found = choice(1024, 768, 3072)
    assert found.kernel is not None and found.kernel.constants[0].nbytes == 768 * 3072 // 2
    assert found.why.startswith("sparse: two of four ")


def test_dense_competes():
    """What takes longer than a step: to begin, and to store."""
    found = choice(8, 64, 256)
    assert found.kernel is None
    assert found.why.startswith("dense: two of four ")


@pytest.mark.parametrize(
    ("length", "arch", "why"),
    [
        (3072, "sm_75", "the target has no sparse kernel for these operands"),
        (96, "sm_80", "96 channels are no multiple of 64"),
    ],
)
def test_unfit(length, arch, why):
    assert choice(8, length, 768, arch) == sparse.Choice(None, f"dense: {why}")


def test_more_than_two_of_four():
    region, (x,) = in_pairs(matmul(8, 3072, 768))
    weight = region.weight.copy()
    weight[0:3, 0] = 1
    found = sparse.lower(replace(region, weight=weight), (Stored(x.shape, "uint8"),), (8, 768), TARGET)
    assert found == sparse.Choice(None, "dense: more than two of four neighbours are not zero")


def test_weights_without_zeros_are_not_mentioned():
    region, (x,) = matmul(8, 128, 64)
    region = replace(region, weight=np.ones_like(region.weight))
    assert sparse.lower(region, (Stored(x.shape, "uint8"),), (8, 64), TARGET) is None


def test_groups_of_a_convolution():
    region, (x,) = in_pairs(conv(256, 512, 3, 28, groups=2))
    found = sparse.lower(region, (Stored(x.shape, "uint8", True),), (1, 512, 28, 28), TARGET)
    assert "two of four" in found.why


@pytest.mark.parametrize("pixels", [1, 16, 300, 5000])
@pytest.mark.parametrize("groups", [1, 2])
def test_more_work_never_takes_less(pixels, groups):
    weight = np.zeros((256, 512), np.int8)
    for stored in (True, False):
        now = pairs.cycles(pixels, weight, groups, stored, TARGET.cuda)
        assert pairs.cycles(pixels, np.zeros((256, 1024), np.int8), groups, stored, TARGET.cuda) > now
    assert pairs.cycles(pixels, weight, groups, True, TARGET.cuda) <= pairs.cycles(
        pixels, weight, groups, False, TARGET.cuda
    )


@pytest.mark.parametrize("sparsity", [True, False])
def test_in_a_model(sparsity):
    region, (x,) = in_pairs(matmul(1024, 768, 3072))
    graph = Graph(x=x)
    model, _ = graph.model(graph.region(region, *graph.params))
    record = lower(model, TARGET, sparsity=sparsity).history[-1]
    assert record.after["sparse"] == int(sparsity)
    assert [why.split(":")[0] for why in record.notes.values()] == ["sparse"] * sparsity

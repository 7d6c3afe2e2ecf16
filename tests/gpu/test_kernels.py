"""Every kernel on a GPU: the reference's bits, with default schedules and with every value of every decision.

The instructions of warps are confirmed here: elsewhere they are what the PTX ISA says, in numpy.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.lowering.graphs import Graph
from tests.lowering.test_weight_only import assert_close
from tests.schedules.convolutions import ACTIVATIONS, CASES, PAIRS, conv, in_pairs, matmul
from tests.schedules.test_cuda_weight_only import inputs, weights
from tvmopt import backends
from tvmopt.lowering import lower
from tvmopt.lowering.schedule import Decide
from tvmopt.lowering.sparse import pairs
from tvmopt.quant.regions import Region, Residual
from tvmopt.target import Target

pytestmark = pytest.mark.hardware("NVIDIA GPU")

DEPTHWISE = {
    f"{kernel}x{kernel}, stride {stride}": conv(40, 40, kernel, 15, stride=stride, groups=40)
    for kernel in (3, 5)
    for stride in (1, 2)
}
TILES = [
    cut
    for i, cut in enumerate(itertools.product((32, 64, 128), (32, 64, 128, 256), (1, 2), (2, 3, 4, 8), (1, 2, 4, 8)))
    if i % 7 == 0
]
"""Rows, columns, steps (of 64 elements), stages and splits: every pair of values of two of them is there."""


def run(
    gpu: Target, cases: Mapping[str, tuple[Region, tuple[np.ndarray, ...]]], decide: Decide | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What regions give on the GPU, all in one artifact, and what they should."""
    given = {f"x{i}_{j}": x for i, (_, own) in enumerate(cases.values()) for j, x in enumerate(own)}
    graph = Graph(**given)
    params, outputs = iter(graph.params), []
    for region, own in cases.values():
        variables = [next(params) for _ in own]
        if isinstance(region, Residual):
            product = graph.region(region.product, *variables[:-1])
            outputs.append(graph.region(region.combine, product, variables[-1]))
        else:
            outputs.append(graph.region(region, *variables))
    model, expected = graph.model(*outputs)
    results = backends.build(lower(model, gpu, decide=decide), gpu).run(graph.inputs)
    return dict(zip(cases, zip(results.values(), expected, strict=True), strict=True))


def differing(results: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, int]:
    """How many elements differ, by case that has any."""
    wrong = {name: np.count_nonzero(got != expected) for name, (got, expected) in results.items()}
    return {name: count for name, count in wrong.items() if count}


@pytest.mark.parametrize("cases", [CASES, ACTIVATIONS, DEPTHWISE], ids=["constant weights", "activations", "depthwise"])
def test_exact(gpu: Target, cases: dict[str, Any]) -> None:
    assert differing(run(gpu, cases)) == {}


def test_two_of_four(gpu: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """By mma.sp, whose layout of positions no GPU of ours has confirmed."""
    if gpu.cuda is not None and gpu.cuda.number < 80:
        pytest.skip("mma.sp came with sm_80")
    monkeypatch.setattr(pairs, "cycles", lambda *args: 0.0 if args[3] else 1.0)
    more = {"few rows": in_pairs(matmul(3, 3072, 768)), "3000 rows": in_pairs(matmul(3000, 768, 256))}
    assert differing(run(gpu, PAIRS | more)) == {}


@pytest.mark.parametrize("two_of_four", [False, True])
def test_tiles(gpu: Target, monkeypatch: pytest.MonkeyPatch, two_of_four: bool) -> None:
    """Products that differ in their columns, each with decisions of its own."""
    columns = range(130, 130 + len(TILES))
    cases = {f"{TILES[n - 130]}": matmul(133, 2048, n) for n in columns}
    if two_of_four:
        if gpu.cuda is not None and gpu.cuda.number < 80:
            pytest.skip("mma.sp came with sm_80")
        monkeypatch.setattr(pairs, "cycles", lambda *args: 0.0 if args[3] else 1.0)
        cases = {name: in_pairs(case) for name, case in cases.items()}

    def decide(rule: str, func: Any) -> list[tuple[str, int]]:
        if func.attrs.get("tvmopt.op") != "contraction":
            return []
        rows, columns, steps, stages, splits = TILES[int(func.params[-1].ty.shape[-1]) - 130]
        steps = steps if two_of_four else 2 * steps
        tile = {"rows": rows, "columns": columns, "steps": steps, "stages": stages, "splits": splits}
        return list(tile.items())

    assert differing(run(gpu, cases, decide)) == {}


def test_weights_of_few_bits(gpu: Target) -> None:
    """Sums of floats, so within what their order may change."""
    cases = {
        f"{rows} rows, {blocks} blocks, {middle}": (weights(768, 200, blocks, middle), (inputs(rows, 768),))
        for rows in (1, 5, 100)
        for blocks in (1, 24)
        for middle in (False, True)
    }
    for name, (got, _) in run(gpu, cases).items():
        region, (x,) = cases[name]
        assert_close(region, x, got)

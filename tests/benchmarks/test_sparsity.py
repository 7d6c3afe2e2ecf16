"""The benchmark of sparsity."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import sparsity
from tvmopt.quant import reference


@pytest.mark.parametrize("pattern", sparsity.BLOCKS)
def test_zeros_are_where_the_pattern_says(pattern: str) -> None:
    weight = sparsity.region(64, 128, 1, pattern, 80).weight.T
    rows, columns = sparsity.BLOCKS[pattern]
    blocks = (weight != 0).reshape(128 // rows, rows, 64 // columns, columns).any((1, 3))
    assert np.count_nonzero(blocks) / blocks.size == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride"), [((65, 256), 1, 1), ((1, 64, 9, 9), 3, 1), ((1, 64, 12, 12), 1, 2)]
)
def test_a_layer_is_its_region(shape: tuple[int, ...], kernel: int, stride: int, sparse: bool) -> None:
    region = sparsity.region(shape[1], 64, kernel, "16x1", 90, stride)
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    last = np.moveaxis(x, 1, -1).copy()
    (got,) = sparsity.compile_layer(region, shape, "host", sparsity=sparse).run({"x": last}).values()
    np.testing.assert_array_equal(np.moveaxis(got, -1, 1), reference.run(region, x))


def test_what_is_not_exact_is_told() -> None:
    row = sparsity.Row("a layer", "1x2x3", "4x1", 80, 30.0, 10.0, 3.0, "sparse", False)
    _, (cells,) = sparsity.table([row])
    assert cells == ["a layer", "1x2x3", "4x1", "80 %", "30.0", "10.0", "3.00x", "sparse", "NO"]
    assert "| a layer |" in sparsity.markdown(sparsity.Report("host", [row], []))

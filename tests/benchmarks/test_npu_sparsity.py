"""What 2:4 weights save by Vela's estimates."""

from __future__ import annotations

import pytest

pytest.importorskip("tosa_serializer")
pytest.importorskip("ethosu.vela")

from benchmarks.npu_sparsity import HEADER, Report, markdown, measure, summary


def test_layers_of_image_classification(shared) -> None:
    (row,) = measure("ic", ["edge/ethos-u85-256"])
    sparse = [layer for layer in row.layers if layer.sparse]
    assert {layer.op for layer in sparse} == {"conv 1x1", "conv 3x3"}
    for layer in row.layers:
        assert all(cycles >= npu for cycles, npu in zip(layer.cycles, layer.npu_cycles, strict=True))
        assert layer.sparse or layer.npu_cycles[0] == layer.npu_cycles[1]
    lines = summary(row)
    assert [line[2] for line in lines] == ["conv 1x1, sparse", "conv 3x3, dense", "conv 3x3, sparse", "all"]
    assert {len(line) for line in lines} == {len(HEADER)}
    assert " | ".join(lines[0]) in markdown(Report("an estimate", [row]))

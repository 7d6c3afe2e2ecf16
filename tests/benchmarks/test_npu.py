"""Agreement and estimates on NPUs."""

from __future__ import annotations

import pytest

pytest.importorskip("tosa_serializer")
pytest.importorskip("ethosu.vela")

from benchmarks.npu import measure


def test_keyword_spotting_is_exact_on_an_npu(shared) -> None:
    row = measure("kws", ["edge/ethos-u65-256"], 3)
    assert (row.accelerated, row.mismatches, row.elements) == (1.0, 0, 36)
    assert row.estimates[0].cycles > 0

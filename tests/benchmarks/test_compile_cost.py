"""Compiling stays cheap."""

from __future__ import annotations

from benchmarks import compile_cost


def test_mobilenet_v2_compiles_within_its_budget() -> None:
    cost = compile_cost.measure("mobilenet_v2-u8-qdq")
    assert 0 < cost.seconds < 30
    assert 50 < cost.peak_mib < 4096

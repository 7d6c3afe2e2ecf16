"""Compiling stays small. How long it takes is for the benchmark to say, on a machine that does nothing else."""

from __future__ import annotations

from benchmarks import compile_cost


def test_mobilenet_v2_compiles_within_its_memory() -> None:
    cost = compile_cost.measure("mobilenet_v2-u8-qdq")
    assert cost.seconds > 0
    assert 50 < cost.peak_mib < 4096

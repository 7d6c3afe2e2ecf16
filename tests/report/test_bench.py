"""Timing in turn."""

from __future__ import annotations

import time

import pytest

from tvmopt.report import bench


def test_runtimes_take_turns_and_the_first_run_of_a_block_is_not_counted() -> None:
    calls: list[str] = []
    times = bench.interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")})
    turns = [name for name, previous in zip(calls, ["", *calls], strict=False) if name != previous]
    assert turns == ["a", "b"] * (1 + bench.ROUNDS)  # once to see how long a run takes
    for name in "ab":
        assert calls.count(name) == len(times[name]) + bench.ROUNDS + 1
        assert len(times[name]) >= 3 * bench.ROUNDS


def test_a_slow_runtime_is_timed_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SLOW_SECONDS", 0.002)
    times = bench.interleave({"slow": lambda: time.sleep(0.003), "fast": lambda: None})
    assert len(times["slow"]) == bench.ROUNDS
    assert len(times["fast"]) > 3 * bench.ROUNDS


def test_comparison_has_medians_ratios_and_those_who_refused() -> None:
    runners = {"tvmopt": lambda: time.sleep(0.001), "onnxruntime": lambda: time.sleep(0.004)}
    found = bench.compare("m.onnx", "x86/avx2", 2, runners, {"litert": "not installed"})
    assert [(row.runtime, row.status) for row in found.rows] == [
        ("tvmopt", "ok"),
        ("onnxruntime", "ok"),
        ("litert", "not installed"),
    ]
    ours, theirs, refused = found.rows
    assert ours.median_us is not None
    assert theirs.median_us is not None
    assert 1000 <= ours.min_us <= ours.median_us < theirs.median_us
    assert found.ratio == {"onnxruntime": pytest.approx(theirs.median_us / ours.median_us)}
    assert (refused.median_us, refused.min_us, refused.runs) == (None, None, 0)
    assert (found.model, found.target, found.threads) == ("m.onnx", "x86/avx2", 2)
    assert found.machine
    assert {"tvmopt", "onnxruntime"} <= found.versions.keys()

"""The benchmark of tuning: what it simulates, in a short form."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from benchmarks import metaschedule, surface, tuning


def test_guided_needs_less_than_half_and_warm_less_than_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LIMIT", 400)  # random search needs more
    task, others = surface.task((7, 7, 160)), [surface.task((7, 7, channels)) for channels in (96, 320)]
    goal = tuning.NEAR * min(surface.seconds(task, one) for one in tuning._all(task))
    known = [tuning._sampled(other, 128, seed, 1.0) for seed, other in enumerate(others)]
    means = [sum(tuning.find(task, goal, seed, how) for seed in range(2)) / 2 for how in (None, [], known)]
    assert 3 < means[1] < means[0] / 2
    assert means[2] < means[0] / 3
    assert means[2] < means[1]


def test_endurance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SETTLED", 100)
    found = tuning.endurance(200)
    assert found.trials == 200
    assert 0 <= found.growth_mib < 10
    assert min(found.slowest_batch_seconds, found.slowest_batch_cpu_seconds) > 0


def test_repair_keeps_intrinsics_out() -> None:
    names = [f"tvm.s_tir.tensor_intrin.{name}" for name in metaschedule.UNNEEDED]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        metaschedule.repair()
        assert all(not hasattr(sys.modules[name], "__path__") for name in names)
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


def test_unknown_part() -> None:
    done = CliRunner().invoke(tuning.main, ["--parts", "search,luck"])
    assert done.exit_code == 2
    assert "'luck' is not one of" in done.output

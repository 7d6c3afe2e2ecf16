"""The benchmark of tuning: what it simulates, in a short form."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from benchmarks import metaschedule, tuning


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

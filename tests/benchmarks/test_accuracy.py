"""Accuracy on labelled data is what the models are known for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import accuracy


def test_vww_and_ic(shared: Path) -> None:
    result = CliRunner().invoke(accuracy.main, ["--json"])
    assert result.exit_code == 0, result.output
    vww, ic = json.loads(result.stdout)["models"]
    assert (vww["model"], vww["samples"], ic["model"], ic["samples"]) == ("vww", 400, "ic", 250)
    assert vww["onnxruntime_float"] == 0.8675
    assert (vww["onnxruntime"], ic["onnxruntime"]) == (0.87, 0.908)
    for row in (vww, ic):
        assert row["tvmopt"] == pytest.approx(row["onnxruntime"], abs=0.005)
        assert row["top1_agreement"] >= 0.995

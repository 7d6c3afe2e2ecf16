"""The command that builds models for GPUs, and what it counts."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks import cuda


def test_build_only(shared: Path) -> None:
    done = CliRunner().invoke(
        cuda.main, ["--build-only", "--json", "--models", "kws", "--targets", "cuda/sm_80,cuda/sm_75"]
    )
    assert done.exit_code == 0, done.output
    rows = {row["target"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["cuda/sm_80"]["instructions"]["mma.sync"] > 0
    assert rows["cuda/sm_75"]["instructions"]["dp4a"] > 0
    for row in rows.values():
        assert row["kernels"] >= sum(row["instructions"][name] for name in ("mma.sync", "dp4a"))
        assert row["spilled_bytes"] == 0
        assert row["median_us"] is None


def test_attention_is_on_tensor_cores() -> None:
    """Of two layers, which have two products of activations each."""
    row = cuda.measure("bert_tiny-u8-qdq", "cuda/sm_80", build_only=True)
    assert row.instructions["mma.sync u8 x u8"] == 4
    assert row.instructions["mma.sync"] > 4
    assert row.spilled_bytes == 0

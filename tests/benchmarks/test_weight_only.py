"""Every kind of weight is timed by both."""

from __future__ import annotations

import json

from click.testing import CliRunner

from benchmarks import weight_only


def test_a_small_product() -> None:
    result = CliRunner().invoke(weight_only.main, ["--size", "64", "--rows", "2", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["shape"] == [2, 64, 64]
    assert [(row["weights"], row["bytes"]) for row in report["rows"]] == [
        ("32 bits", 4 * 64 * 64),
        ("8 bits", 64 * 64 + 4 * 128),
        ("4 bits", 64 * 64 // 2 + 4 * 128),
        ("4 bits, int8", 64 * 64 // 2 + 4 * 128),
    ]
    assert all(row["tvmopt_us"] > 0 and row["onnxruntime_us"] > 0 for row in report["rows"])

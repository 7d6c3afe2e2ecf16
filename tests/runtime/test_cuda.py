"""Artifacts for GPUs on one in software: TVM's CUDA runtime, graphs and all, over a driver that interprets kernels."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tools

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "tests",
    [["tests/gpu/test_artifact.py"], ["tests/gpu/test_kernels.py", "-k", "activations or depthwise"]],
    ids=["artifacts", "kernels"],
)
def test_what_needs_a_gpu(tests: list[str]) -> None:
    """None of it is skipped, and graphs are captured once and replayed."""
    tools.need("gcc")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.runtime.software_gpu"]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    found = re.search(r"software GPU: (\{.*\})", done.stdout)
    assert found is not None
    counts = ast.literal_eval(found[1])
    assert counts["launches"] > 0
    assert tests[0] != "tests/gpu/test_artifact.py" or counts["replays"] > counts["captures"] > 0

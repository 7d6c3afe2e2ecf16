"""Artifacts for GPUs on one in software: TVM's CUDA runtime, graphs and all, over a driver that interprets kernels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import tools

from .software_gpu import build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tools.need("gcc")
    folder = tmp_path_factory.mktemp("gpu")
    build(folder)
    return folder


def run(folder: Path, model: str) -> dict[str, Any]:
    """What happens when the model is compiled, loaded and called, without anything that a GPU would refuse."""
    command = [sys.executable, "-m", "tests.runtime.software_gpu", str(folder), model]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["failed"], found["refused"]) == ([], 0)
    return found


def test_a_model(folder):
    """The first call records a graph, which later ones replay; each computes anew."""
    found = run(folder, "demo")
    assert found["differences"] == [0, 0, 0, 0]
    assert (found["counts"]["modules"], found["counts"]["captures"], found["counts"]["replays"]) == (1, 1, 3)
    assert found["stays"] == [[2, 0], [2, 0]]
    assert found["same"] == [True, True]
    assert found["asked"] == [1]  # the default stream, which another library's waits for
    assert found["another gpu"] == "node 'input': lies on GPU 1, the model on GPU 0"
    assert found["turned"].startswith("node 'input': cannot be read where it is")


def test_a_split_product_in_much_shared_memory(folder):
    found = run(folder, "product")
    assert found["wrong"] == [0, 0]
    assert found["kernels"] == 2
    assert found["shared"] > 48 * 1024

"""Whole models compiled for AMX: what they compute is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tvmopt
from benchmarks import data, models
from tvmopt import demo
from tvmopt.backends import cpu
from tvmopt.target import Target

from .conftest import Cpu, Emulator

pytestmark = [pytest.mark.hardware("AVX512-VNNI"), pytest.mark.usefixtures("unchecked")]


@pytest.fixture(autouse=True)
def permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts do not ask for the tile registers either: this process has asked already."""
    monkeypatch.setattr(cpu, "_AMX", "1")


@pytest.mark.parametrize("name", ["kws", "ic"])
def test_official_models(shared: Path, tiles: Emulator | Cpu, target: Target, name: str) -> None:
    with tiles.at_work():
        result = tvmopt.verify(models.get(name), target, samples=2, layer_samples=2)
    assert result.layers
    assert [layer for layer in result.layers if not layer.exact] == []


def test_demo(tiles: Emulator | Cpu, target: Target) -> None:
    with tiles.at_work():
        result = tvmopt.verify(demo.INT8_MODEL, target, samples=4, layer_samples=4)
    assert [layer for layer in result.layers if not layer.exact] == []
    assert result.top1_agreement == 1


def test_transformer(tmp_path: Path, tiles: Emulator | Cpu, target: Target) -> None:
    """Products of two activations, in batches, too."""
    name = "bert_tiny-u8-qdq"
    np.savez(tmp_path / "inputs.npz", **data.samples(name, 1)[0])
    with tiles.at_work():
        result = tvmopt.verify(models.get(name), target, data=tmp_path / "inputs.npz", layer_samples=1)
    products = [layer for layer in result.layers if layer.op in ("MatMul", "Gemm")]
    assert products
    assert [layer for layer in products if not layer.exact] == []

"""Whole models on a GPU: what they compute is what ONNX Runtime computes on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tvmopt
from benchmarks import data, models
from tvmopt.target import Target

pytestmark = pytest.mark.hardware("NVIDIA GPU")

SAMPLES = 4


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_official_models(gpu: Target, shared: Path, name: str) -> None:
    result = tvmopt.verify(models.get(name), gpu, layer_samples=SAMPLES)
    assert result.layers
    assert [layer for layer in result.layers if not layer.exact] == []


@pytest.mark.parametrize(
    "name", ["mobilenet_v2-u8-qdq", "mobilenet_v2-2of4-u8-qdq", "resnet50-s8-qdq", "efficientnet_lite0-s8-qdq"]
)
def test_large_networks(gpu: Target, tmp_path: Path, name: str) -> None:
    result = tvmopt.verify(models.get(name), gpu, data=samples(tmp_path, name), layer_samples=1)
    assert result.layers
    assert [layer for layer in result.layers if not layer.exact] == []


def test_transformer(gpu: Target, tmp_path: Path) -> None:
    """Products are exact; functions in float between two quantized tensors may round near ties the other way."""
    name = "bert_tiny-u8-qdq"
    result = tvmopt.verify(models.get(name), gpu, data=samples(tmp_path, name), layer_samples=1)
    products = [layer for layer in result.layers if layer.op in ("MatMul", "QLinearMatMul", "Gemm", "QGemm")]
    assert products
    assert [layer for layer in products if not layer.exact] == []
    assert [layer for layer in result.layers if layer.max_lsb > 1] == []


def samples(folder: Path, name: str) -> Path:
    """A file of inputs for a built model."""
    path = folder / "inputs.npz"
    batch = data.samples(name, SAMPLES)
    np.savez(path, **{key: np.concatenate([sample[key] for sample in batch]) for key in batch[0]})
    return path

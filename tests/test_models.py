"""The main job on whole models: what the compiled model computes is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tvmopt
from benchmarks import data, models
from benchmarks.models.quantize import STATIC
from tvmopt.report.verify import Verification

CNNS = [
    *(f"{network}-{variant}" for network in ("mobilenet_v2", "resnet50") for variant in STATIC),
    "efficientnet_lite0-s8-qdq",
    "mobilenet_v2-channels@50-u8-qdq",
]
SAMPLES = 4


def check_layers(result: Verification) -> None:
    """Every quantized tensor equals ONNX Runtime's, bit for bit, when both compute it from the same tensors."""
    assert result.layers
    assert [layer for layer in result.layers if not layer.exact] == []


@pytest.mark.parametrize(("name", "accuracy"), [("vww", 0.87), ("ic", 0.908)])
def test_labelled_data(shared: Path, name: str, accuracy: float) -> None:
    result = tvmopt.verify(models.get(name), data=data.labelled_file(name), layer_samples=SAMPLES)
    check_layers(result)
    assert result.samples == len(data.labelled(name)[1])
    assert result.top1_agreement is not None
    assert result.top1_agreement >= 0.995
    assert result.reference_accuracy == pytest.approx(accuracy, abs=1e-9)
    assert result.accuracy == pytest.approx(accuracy, abs=0.005)


@pytest.mark.parametrize("name", ["kws", "ad"])
def test_other_official_models(shared: Path, name: str) -> None:
    result = tvmopt.verify(models.get(name), samples=50)
    check_layers(result)
    assert max(output.max_abs for output in result.outputs) < 1e-6


@pytest.mark.parametrize("name", CNNS)
def test_large_networks(tmp_path: Path, name: str) -> None:
    result = tvmopt.verify(models.get(name), data=samples(tmp_path, name), layer_samples=1)
    check_layers(result)
    assert result.top1_agreement == 1


@pytest.mark.parametrize("variant", models.VARIANTS["bert_tiny"])
def test_transformer(tmp_path: Path, variant: str) -> None:
    """Products are exact; functions in float between two quantized tensors may round near ties the other way."""
    name = f"bert_tiny-{variant}"
    result = tvmopt.verify(models.get(name), data=samples(tmp_path, name), layer_samples=1)
    products = [layer for layer in result.layers if layer.op in ("MatMul", "QLinearMatMul", "Gemm", "QGemm")]
    assert len(products) == (0 if variant == "dynamic" else 18)
    assert [layer for layer in products if not layer.exact] == []
    assert [layer for layer in result.layers if layer.max_lsb > 1] == []
    assert result.top1_agreement == 1


def samples(folder: Path, name: str) -> Path:
    """A file of inputs for a built model."""
    path = folder / "inputs.npz"
    batch = data.samples(name, SAMPLES)
    np.savez(path, **{key: np.concatenate([sample[key] for sample in batch]) for key in batch[0]})
    return path

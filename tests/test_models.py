"""The main job on whole models: what the compiled model computes is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tvmopt
from benchmarks import data, models
from benchmarks.models.quantize import STATIC
from tvmopt.report.verify import Verification

BUILT = [f"{network}-{variant}" for network in ("mobilenet_v2", "resnet50") for variant in STATIC]
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


@pytest.mark.parametrize("name", BUILT)
def test_large_networks(tmp_path: Path, name: str) -> None:
    samples = data.samples(name, SAMPLES)
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, input=np.concatenate([sample["input"] for sample in samples]))
    result = tvmopt.verify(models.get(name), data=inputs, layer_samples=1)
    check_layers(result)
    assert result.top1_agreement == 1

"""The whole job on the bundled model: what comes out is valid, has the zeros, still works, and compiles exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import tvmopt
from tvmopt import demo
from tvmopt.compression import Prune, Quantize, layers
from tvmopt.errors import InputError, UnsupportedError


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compression") / "calibration.npz"
    with np.load(demo.HELD_OUT) as held_out:
        np.savez(path, input=held_out["input"][:100])
    return path


def zero_weights(path: Path) -> dict[str, np.ndarray]:
    """Where the weights of the layers are zero, [groups, outputs, inputs, positions], by the layers' inputs."""
    found = layers.find(ir.load(path).graph)
    return {layer.node.inputs[1].name.split(".")[0]: layer.grouped(layer.weight.is_zero()) for layer in found}


@pytest.mark.parametrize(
    ("activations", "prune", "accuracy"),
    [
        ("int8", "channels:0.53", 0.7),
        ("uint8", "2:4", 0.9),
        ("int8", "block16x1:0.1", 0.8),
        ("uint8", "block1x4:0.5", 0.9),
        ("int8", "unstructured:0.6", 0.9),
        ("uint8", None, 0.98),
    ],
)
def test_a_float_model(tmp_path: Path, calibration: Path, activations: str, prune: str | None, accuracy: float) -> None:
    output = tmp_path / "out.onnx"
    quantize = Quantize(activations, calibration)  # type: ignore[arg-type]
    found = tvmopt.compress(demo.FLOAT_MODEL, output, prune=prune, quantize=quantize, data=demo.HELD_OUT)
    assert (found.prune, found.quantize, found.layers) == (prune, activations, 6)
    assert found.accuracy_before is not None and found.accuracy_after is not None
    assert found.accuracy_before >= 0.98
    assert found.accuracy_after >= accuracy
    assert found.bytes_before == demo.FLOAT_MODEL.stat().st_size
    assert found.bytes_after == output.stat().st_size < found.bytes_before / 2

    onnx.checker.check_model(output, full_check=True)
    masks = zero_weights(output)
    assert found.zero_weights_after == sum(int(mask.sum()) for mask in masks.values())
    assert (found.pruned_layers > 0) == (prune is not None)
    rounded_to_zero = 100  # by quantization alone
    assert (found.zero_weights_after > found.zero_weights_before + rounded_to_zero) == (prune is not None)
    for mask in (masks["inner"], masks["outer"]):
        if prune == "channels:0.53":
            assert mask.all(axis=(2, 3)).sum() >= 17
        elif prune == "2:4":
            assert (mask.reshape(1, 32, 8, 4, 9).sum(axis=3) >= 2).all()
        elif prune == "block16x1:0.1":
            assert mask.reshape(1, 2, 16, 32, 9).all(axis=2).sum() >= round(0.1 * 2 * 32 * 9)
        elif prune == "block1x4:0.5":
            assert mask.reshape(1, 32, 8, 4, 9).all(axis=3).sum() >= 32 * 8 * 9 / 2

    checked = tvmopt.verify(output, samples=4, layer_samples=4)
    assert checked.exact_ops == len(checked.layers) > 0
    inspected = tvmopt.inspect(output)
    assert (found.macs, found.macs_after_folding) == (inspected.macs, inspected.macs_after_folding)


def test_channels_of_a_quantized_model_fold_away(tmp_path: Path) -> None:
    output = tmp_path / "out.onnx"
    before = tvmopt.inspect(demo.INT8_MODEL)
    found = tvmopt.compress(demo.INT8_MODEL, output, prune=Prune("channels", 0.6), data=demo.HELD_OUT)
    assert (found.macs, found.pruned_layers) == (before.macs, 5)
    assert found.macs_after_folding < 0.75 * before.macs_after_folding
    assert found.bytes_after <= found.bytes_before
    checked = tvmopt.verify(output, samples=4, layer_samples=4)
    assert checked.exact_ops == len(checked.layers) > 0


def test_a_float_model_may_stay_float(tmp_path: Path) -> None:
    found = tvmopt.compress(demo.FLOAT_MODEL, tmp_path / "out.onnx", prune="unstructured:0.6")
    assert (found.quantize, found.accuracy_before, found.data) == (None, None, None)
    assert found.zero_weights_after == sum(int(mask.sum()) for mask in zero_weights(tmp_path / "out.onnx").values())
    assert tvmopt.inspect(tmp_path / "out.onnx").quantized_ops == 0


def test_the_input_may_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(demo.INT8_MODEL.read_bytes())
    found = tvmopt.compress(path, path, prune="2:4", data=demo.HELD_OUT)
    assert found.accuracy_before is not None and found.accuracy_after is not None
    assert found.accuracy_before > found.accuracy_after > 0.9
    assert found.bytes_before == demo.INT8_MODEL.stat().st_size


def test_what_cannot_be_done_is_refused(tmp_path: Path, calibration: Path) -> None:
    output = tmp_path / "out.onnx"
    with pytest.raises(InputError, match="nothing to do"):
        tvmopt.compress(demo.FLOAT_MODEL, output)
    with pytest.raises(InputError, match="no labels"):
        tvmopt.compress(demo.FLOAT_MODEL, output, prune="2:4", data=calibration)
    with pytest.raises(UnsupportedError, match=f"{demo.INT8_MODEL.name}: .*quantized already"):
        tvmopt.compress(demo.INT8_MODEL, output, quantize=Quantize("int8", calibration))
    assert not output.exists()

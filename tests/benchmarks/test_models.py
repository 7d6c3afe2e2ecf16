"""The built models are what they are called, mean something numerically, and come out the same every time."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, shape_inference

from benchmarks import data, models
from benchmarks.models.prune import mask
from benchmarks.models.quantize import STATIC
from tvmopt.errors import InputError

NETWORKS = ("mobilenet_v2", "resnet50", "efficientnet_lite0")
SAMPLES = 6


def outputs(name: str, samples: list[dict[str, np.ndarray]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(models.get(name))
    return np.concatenate([session.run(None, sample)[0] for sample in samples])


def macs(model: ModelProto) -> int:
    """Multiply-accumulates of all layers with constant weights: weight elements times the places they are used at."""
    inferred = shape_inference.infer_shapes(model)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info}
    shapes |= {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.output}
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in weights:
            shape = shapes[node.output[0]]
            places = prod(shape[2:]) if node.op_type == "Conv" else prod(shape[:-1])
            total += prod(weights[node.input[1]]) * places
    return total


# Published, rounded: arXiv:1801.04381 table 4, and torchvision's model table.
@pytest.mark.parametrize(("name", "count"), [("mobilenet_v2", 300.8e6), ("resnet50", 4.089e9)])
def test_macs_are_those_of_the_published_network(name: str, count: float) -> None:
    assert macs(onnx.load(models.get(name))) == pytest.approx(count, rel=1e-3)


@pytest.mark.parametrize("name", [f"{network}-{variant}" for network in NETWORKS for variant in STATIC])
def test_convolutions_are_quantized_in_the_format_asked_for(name: str) -> None:
    network, activation, form = name.split("-")
    model = onnx.load(models.get(name))
    onnx.checker.check_model(model)
    convolutions = {"mobilenet_v2": 52, "resnet50": 53, "efficientnet_lite0": 49}[network]
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["QLinearConv" if form == "qoperator" else "Conv"] == convolutions
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    if form == "qoperator":
        weights = [tensors[node.input[3]] for node in model.graph.node if node.op_type == "QLinearConv"]
        assert {len(tensors[node.input[4]].dims) for node in model.graph.node if node.op_type == "QLinearConv"} == {1}
    else:
        producers = {node.output[0]: node for node in model.graph.node}
        weights = [tensors[producers[n.input[1]].input[0]] for n in model.graph.node if n.op_type == "Conv"]
    assert {weight.data_type for weight in weights} == {TensorProto.INT8}
    zero_points = {tensors[node.input[2]].data_type for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert zero_points == {TensorProto.UINT8 if activation == "u8" else TensorProto.INT8}


@pytest.mark.parametrize("network", ["mobilenet_v2", "resnet50", "bert_tiny"])
def test_variants_agree_with_the_float_model_and_with_each_other(network: str) -> None:
    samples = data.samples(network, SAMPLES, seed=3)
    expected = outputs(network, samples)
    quantized = {variant: outputs(f"{network}-{variant}", samples) for variant in models.VARIANTS[network]}
    for variant, actual in quantized.items():
        assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.95, variant
    spread = np.std(expected)
    for form in ("qdq", "qoperator"):
        assert np.abs(quantized[f"u8-{form}"] - quantized[f"s8-{form}"]).mean() < 0.1 * spread


@pytest.mark.parametrize("network", ["mobilenet_v2", "resnet50"])
def test_random_networks_mean_something(network: str) -> None:
    """Inputs are told apart, and every quantized tensor uses its 256 values."""
    samples = data.samples(network, SAMPLES, seed=4)
    top1 = outputs(f"{network}-u8-qdq", samples).argmax(axis=1)
    assert len(set(top1)) >= SAMPLES - 2
    model = onnx.load(models.get(f"{network}-u8-qoperator"))
    tensors = [node.output[0] for node in model.graph.node if node.op_type.startswith("QLinear")]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in tensors)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    runs = [session.run(tensors, sample) for sample in samples]
    for name, *values in zip(tensors, *runs, strict=True):
        together = np.concatenate([value.ravel() for value in values])
        assert int(together.max()) - int(together.min()) >= 160, name
        assert together.std() >= 10, name


@pytest.mark.parametrize("name", ["mobilenet_v2-4x1@80-s8-qdq", "bert_tiny-u8-qoperator", "bert_tiny-dynamic"])
def test_a_build_is_deterministic(name: str) -> None:
    assert models.build(name).SerializeToString() == models.get(name).read_bytes()


def test_mlperf_tiny_models_are_found(mlperf_tiny: dict[str, object]) -> None:
    assert {name: models.get(name) for name in mlperf_tiny} == mlperf_tiny


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_samples_fit_the_model(name: str) -> None:
    samples = data.samples(name, 2)
    assert len(outputs(name, samples)) == 2


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown benchmark model 'alexnet'.*mobilenet_v2-u8-qdq"):
        models.get("alexnet")


@pytest.mark.parametrize(("pattern", "rows"), [("unstructured@90", 1), ("4x1@80", 4), ("16x1@50", 16)])
def test_the_smallest_blocks_are_pruned(pattern: str, rows: int) -> None:
    weight = np.random.default_rng(0).normal(size=(32, 48, 3, 3))
    kept = mask(weight, pattern).reshape(32 // rows, rows, -1)
    assert (kept == kept[:, :1]).all()
    assert 1 - kept.mean() == pytest.approx(int(pattern.split("@")[1]) / 100, abs=1e-3)
    size = np.abs(weight).reshape(kept.shape).sum(axis=1)
    assert size[kept[:, 0]].min() >= size[~kept[:, 0]].max()


def test_whole_channels_are_pruned() -> None:
    weight = np.random.default_rng(0).normal(size=(40, 8, 3, 3))
    alive = mask(weight, "channels@50").reshape(40, -1)
    assert set(alive.sum(axis=1)) == {0, 72}
    assert alive[:, 0].sum() == 20


def test_two_of_four_inputs_stay() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 16, 3, 3))
    kept = mask(weight, "2of4").reshape(8, 4, 4, 9)
    assert (kept.sum(axis=2) == 2).all()
    magnitude = np.abs(weight).reshape(8, 4, 4, 9)
    assert (np.where(kept, magnitude, np.inf).min(axis=2) >= np.where(kept, 0, magnitude).max(axis=2)).all()


def test_pruned_weights_stay_zero_when_quantized() -> None:
    model = onnx.load(models.get("mobilenet_v2-channels@80-u8-qoperator"))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    dense = [
        numpy_helper.to_array(tensors[node.input[3]])
        for node in model.graph.node
        if node.op_type == "QLinearConv" and tensors[node.input[3]].dims[1] > 3
    ]
    for weight in dense:
        dead = (weight.reshape(len(weight), -1) == 0).all(axis=1)
        assert dead.mean() == pytest.approx(0.8, abs=0.05)

"""Batch normalization of a random network, folded into its convolutions.

Conv(w, 0) -> Conv(gamma * w / sigma, beta - gamma * mean / sigma), mean and sigma per output channel over one batch.

Without it a deep random network maps every input to nearly the same output (Yang et al. 2019,
arXiv:1902.08129), and comparing its top-1 would mean nothing.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

EPSILON = 1e-5
BATCH_NORM = f"""
<domain: "benchmarks", opset_import: ["": 17]>
BatchNorm (x, gamma, beta) => (y, mean, variance)
{{
    mean = ReduceMean <axes = [0, 2, 3]> (x)
    centered = Sub (x, mean)
    squared = Mul (centered, centered)
    variance = ReduceMean <axes = [0, 2, 3]> (squared)
    epsilon = Constant <value_float = {EPSILON}> ()
    stable = Add (variance, epsilon)
    sigma = Sqrt (stable)
    scale = Div (gamma, sigma)
    scaled = Mul (centered, scale)
    y = Add (scaled, beta)
}}
"""


def normalize(model: ModelProto, batch: np.ndarray) -> ModelProto:
    """Give ``model``, whose convolution biases are zero, the weights and biases that normalize ``batch`` [N, C, H, W].

    gamma is uniform in 0.5..1.5, a quarter of that where a branch joins a residual, as training makes it (without
    that, a random network multiplies every rounding error); beta is normal with deviation 0.5. A constant (pruned)
    channel becomes its beta. The classifier's bias is set so that no class wins on average.
    """
    folded = ModelProto()
    folded.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in folded.graph.initializer}
    rng = np.random.default_rng(1)
    branches = {node.input[1] for node in folded.graph.node if node.op_type == "Add"}
    affine = {}
    for node in folded.graph.node:
        if node.op_type == "Conv":
            shape = (1, weights[node.input[1]].dims[0], 1, 1)
            gamma = rng.uniform(0.5, 1.5, shape) / (4 if node.output[0] in branches else 1)
            affine[node.output[0]] = gamma, rng.normal(0.0, 0.5, shape)
    affine = {name: (gamma.astype(np.float32), beta.astype(np.float32)) for name, (gamma, beta) in affine.items()}
    statistics = _statistics(model, affine, batch)
    for node in folded.graph.node:
        if node.op_type != "Conv":
            continue
        gamma, beta = affine[node.output[0]]
        mean, variance = statistics[node.output[0]]
        scale = gamma / np.sqrt(variance + np.float32(EPSILON))
        weight, bias = (weights[name] for name in node.input[1:])
        scaled = numpy_helper.to_array(weight) * scale.reshape(-1, 1, 1, 1)
        weight.CopyFrom(numpy_helper.from_array(scaled, weight.name))
        bias.CopyFrom(numpy_helper.from_array((beta - mean * scale).ravel(), bias.name))
    return _center_logits(folded, batch)


def _center_logits(model: ModelProto, batch: np.ndarray) -> ModelProto:
    (logits,) = _run(model, batch)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == model.graph.node[-1].input[2])
    bias.CopyFrom(numpy_helper.from_array(-logits.mean(axis=0), bias.name))
    return model


def _statistics(
    model: ModelProto, affine: dict[str, tuple[np.ndarray, np.ndarray]], batch: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance [1, C, 1, 1] of each convolution's output while all before it are normalized."""
    measured = ModelProto()
    measured.CopyFrom(model)
    measured.functions.append(parser.parse_function(BATCH_NORM))
    measured.opset_import.append(helper.make_opsetid("benchmarks", 1))
    graph = measured.graph
    nodes = list(graph.node)
    del graph.node[:], graph.output[:]
    for node in nodes:
        graph.node.append(node)
        if node.op_type != "Conv":
            continue
        name = node.output[0]
        graph.node[-1].output[0] = f"{name}/raw"
        for key, value in zip(("gamma", "beta"), affine[name], strict=True):
            graph.initializer.append(numpy_helper.from_array(value, f"{name}/{key}"))
        results = [f"{name}/mean", f"{name}/variance"]
        inputs = [f"{name}/{suffix}" for suffix in ("raw", "gamma", "beta")]
        graph.node.append(helper.make_node("BatchNorm", inputs, [name, *results], domain="benchmarks"))
        graph.output.extend(helper.make_tensor_value_info(result, TensorProto.FLOAT, None) for result in results)
    values = _run(measured, batch)
    return dict(zip(affine, zip(values[::2], values[1::2], strict=True), strict=True))


def _run(model: ModelProto, batch: np.ndarray) -> list[np.ndarray]:
    """Outputs of ``model``, whose input has a batch dimension of 1, for a larger batch."""
    batched = ModelProto()
    batched.CopyFrom(model)
    for value in (*batched.graph.input, *batched.graph.output):
        if value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.dim[0].dim_value = len(batch)
    session = onnxruntime.InferenceSession(batched.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {batched.graph.input[0].name: batch})

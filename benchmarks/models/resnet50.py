"""ResNet-50 at 224x224 (He et al. 2015, arXiv:1512.03385), stride in the 3x3, layers named as in torchvision."""

from __future__ import annotations

from onnx import ModelProto

from .graph import Graph

STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]  # bottleneck width, blocks, stride of the first


def build() -> ModelProto:
    """Float model, input float32 [1, 3, 224, 224], output 1000 logits; 4.09 G multiply-accumulates."""
    g = Graph("resnet50")
    x = g.input("input", (1, 3, 224, 224))
    x = g.op("Relu", "relu", g.conv("conv1", x, g.he(64, 3, 7, 7), stride=2))
    x = g.op("MaxPool", "maxpool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, blocks, first_stride) in enumerate(STAGES, 1):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _bottleneck(g, f"layer{stage}.{block}", x, channels, width, stride)
            channels = 4 * width
    x = g.op("Flatten", "flatten", g.op("GlobalAveragePool", "avgpool", x))
    return g.model(g.linear("fc", x, g.he(1000, channels)), (1, 1000))


def _bottleneck(g: Graph, name: str, x: str, inputs: int, width: int, stride: int) -> str:
    outputs = 4 * width
    y = g.op("Relu", f"{name}.relu1", g.conv(f"{name}.conv1", x, g.he(width, inputs, 1, 1)))
    y = g.op("Relu", f"{name}.relu2", g.conv(f"{name}.conv2", y, g.he(width, width, 3, 3), stride=stride))
    y = g.conv(f"{name}.conv3", y, g.he(outputs, width, 1, 1))
    if stride != 1 or inputs != outputs:
        x = g.conv(f"{name}.downsample.0", x, g.he(outputs, inputs, 1, 1), stride=stride)
    return g.op("Relu", f"{name}.relu3", g.op("Add", f"{name}.add", x, y))

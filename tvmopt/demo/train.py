"""Train, prune and quantize the bundled model again: ``python -m tvmopt.demo.train [FOLDER]`` (extra ``train``).

A small residual CNN learns the 8x8 digits of scikit-learn; whole output channels are pruned by the magnitude of
their batch-norm scale (network slimming, Liu et al., ICCV 2017), the rest is fine-tuned, batch norm is folded, and
ONNX Runtime quantizes the result to int8, weights per channel. Channels that were pruned have zero weights, but keep
a bias.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import sklearn
import torch
from onnxruntime import quantization
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tvmopt import demo

SEED = 0
OPSET = 20
HELD_OUT = 600
PRUNED = 0.5  # fraction of the channels of each block
EPOCHS = 60  # before pruning, and again after it
SPARSITY_PENALTY = 2e-3  # on the batch-norm scales, so that there is something to prune


class Block(nn.Module):
    """Convolution, batch norm and, where asked, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = relu
        self.register_buffer("kept", torch.ones(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return torch.relu(x) if self.relu else x


class Digits(nn.Module):
    """Pixels float [N, 1, 8, 8], values 0..16, to logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(1, 32, 3)
        self.inner = Block(32, 32, 3)
        self.outer = Block(32, 32, 3, relu=False)
        self.pool = nn.MaxPool2d(2)
        self.depthwise = Block(32, 32, 3, groups=32)
        self.pointwise = Block(32, 64, 1)
        self.average = nn.AvgPool2d(4)
        self.dense = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.outer(self.inner(x)))
        x = self.pointwise(self.depthwise(self.pool(x)))
        return self.dense(self.average(x).flatten(1))

    def blocks(self) -> dict[str, Block]:
        return {name: child for name, child in self.named_children() if isinstance(child, Block)}


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images float32 [N, 1, 8, 8] and labels int64 [N] to train with, then those held out."""
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=HELD_OUT, random_state=SEED, stratify=digits.target
    )
    return train, train_labels, test, test_labels


def fit(model: Digits, images: torch.Tensor, labels: torch.Tensor, penalty: float) -> None:
    """Train in place; pruned channels stay pruned."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            x = shifted(images[batch])
            loss = nn.functional.cross_entropy(model(x), labels[batch], label_smoothing=0.05)
            loss = loss + penalty * sum(block.norm.weight.abs().sum() for block in model.blocks().values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for block in model.blocks().values():
                block.norm.weight.data.mul_(block.kept)
        schedule.step()
    model.eval()


def shifted(images: torch.Tensor) -> torch.Tensor:
    """The images, each moved by up to one pixel along each axis; what comes in is background (0)."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(images), 1)) + torch.arange(8)
    return padded[torch.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def prune(model: Digits) -> None:
    """Drop the channels with the smallest batch-norm scales of each block."""
    for block in model.blocks().values():
        scale = block.norm.weight.data
        dropped = scale.abs().argsort()[: int(PRUNED * len(scale))]
        block.kept[dropped] = 0
        scale[dropped] = 0


def fold(model: Digits) -> None:
    """Put every batch norm into its convolution."""
    for block in model.blocks().values():
        block.conv = fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = nn.Identity()


class Calibration(quantization.CalibrationDataReader):
    """Feeds images to ONNX Runtime's quantizer, one at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"input": image[None]}


def export(model: Digits, path: Path) -> None:
    """Write the float ONNX model: input "input" float [1, 1, 8, 8], output "logits" float [1, 10]."""
    example = (torch.zeros(1, 1, 8, 8),)
    program = torch.onnx.export(
        model, example, input_names=["input"], output_names=["logits"], opset_version=OPSET, dynamo=True
    )
    proto = program.model_proto
    del proto.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces of this script
    onnx.save(proto, path)


def main(folder: Path) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train, train_labels, test, test_labels = split()
    images, labels = torch.from_numpy(train), torch.from_numpy(train_labels)

    model = Digits()
    fit(model, images, labels, SPARSITY_PENALTY)
    prune(model)
    fit(model, images, labels, 0.0)
    fold(model)

    float_path, int8_path = folder / demo.FLOAT_MODEL.name, folder / demo.INT8_MODEL.name
    export(model, float_path)
    quantization.quantize_static(
        float_path,
        int8_path,
        Calibration(train),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )
    np.savez_compressed(folder / demo.HELD_OUT.name, input=test, labels=test_labels)
    record = {
        "held_out": HELD_OUT,
        "float_accuracy": accuracy(float_path, test, test_labels),
        "int8_accuracy": accuracy(int8_path, test, test_labels),
        "dead_channels": {name: int((block.kept == 0).sum()) for name, block in model.blocks().items()},
        "seed": SEED,
        "versions": {
            "python": platform.python_version(),
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__,
        },
    }
    (folder / demo.RECORD.name).write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images that ONNX Runtime labels rightly."""
    session = onnxruntime.InferenceSession(path)
    logits = [session.run(None, {"input": image[None]})[0][0] for image in images]
    return float(np.mean(np.argmax(logits, axis=1) == labels))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo.FOLDER)

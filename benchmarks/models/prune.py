"""Zero the smallest weights of a float model, in the patterns that compilers can use.

A pattern is ``<structure>@<percent>`` or ``2of4``:
``channels``      whole output channels;
``4x1``, ``16x1`` blocks of that many outputs of one input (of one kernel position);
``unstructured``  single weights;
``2of4``          of every four successive inputs the two smaller.
"""

from __future__ import annotations

from math import ceil, prod

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

STRUCTURES = ("channels", "4x1", "16x1", "unstructured")
PATTERNS = (*(f"{structure}@{percent}" for structure in STRUCTURES for percent in (50, 80, 90)), "2of4")


def prune(model: ModelProto, pattern: str) -> ModelProto:
    """A copy with every large weight pruned: not depthwise ones, nor the first layer's, nor classes."""
    pruned = ModelProto()
    pruned.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in pruned.graph.initializer}
    layers = [node for node in pruned.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    for node in layers[:-1]:
        tensor = tensors.get(node.input[1])
        if tensor is None or _groups(node) > 1 or tensor.dims[1] <= 3:
            continue
        weight = numpy_helper.to_array(tensor)
        outputs_first = weight.T if node.op_type == "MatMul" else weight
        kept = outputs_first * mask(outputs_first, pattern)
        kept = np.ascontiguousarray(kept.T if node.op_type == "MatMul" else kept)
        tensor.CopyFrom(numpy_helper.from_array(kept, tensor.name))
    return pruned


def mask(weight: np.ndarray, pattern: str) -> np.ndarray:
    """Which elements of a weight [O, I, *K] stay, bool of its shape."""
    outputs, inputs, *kernel = weight.shape
    magnitude = np.abs(weight).reshape(outputs, inputs, prod(kernel))
    if pattern == "2of4":
        kept = _two_of_four(magnitude)
    else:
        structure, percent = pattern.split("@")
        block = {"channels": (1, *magnitude.shape[1:]), "4x1": (4, 1, 1), "16x1": (16, 1, 1), "unstructured": (1, 1, 1)}
        kept = _largest_blocks(magnitude, block[structure], int(percent) / 100)
    return kept.reshape(weight.shape)


def _largest_blocks(magnitude: np.ndarray, block: tuple[int, int, int], zeros: float) -> np.ndarray:
    grid = [ceil(size / step) for size, step in zip(magnitude.shape, block, strict=True)]
    padded = np.pad(magnitude, [(0, n * b - s) for n, b, s in zip(grid, block, magnitude.shape, strict=True)])
    tiles = padded.reshape([size for pair in zip(grid, block, strict=True) for size in pair])
    score = tiles.sum(axis=(1, 3, 5))
    kept = np.ones(score.size, bool)
    kept[np.argsort(score, axis=None, kind="stable")[: round(zeros * score.size)]] = False
    spread = np.kron(kept.reshape(score.shape), np.ones(block, bool))
    return spread[tuple(slice(size) for size in magnitude.shape)]


def _two_of_four(magnitude: np.ndarray) -> np.ndarray:
    outputs, inputs, taps = magnitude.shape
    groups = np.pad(magnitude, [(0, 0), (0, -inputs % 4), (0, 0)]).reshape(outputs, -1, 4, taps)
    rank = groups.argsort(axis=2, kind="stable").argsort(axis=2)
    return (rank >= 2).reshape(outputs, -1, taps)[:, :inputs]


def _groups(node: NodeProto) -> int:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == "group"), 1)

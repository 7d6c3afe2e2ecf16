"""Every operator that TOSA graphs are made for, from ONNX: an NPU of each family takes it, and gives what CPUs give."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import onnx
import pytest

import tvmopt
from tests.lowering.strategies import tensor
from tests.passes.qdq import Qdq
from tvmopt import frontend
from tvmopt import target as targets
from tvmopt.passes import pipeline
from tvmopt.quant.params import QParams

from .harness import FAMILIES, accepted, check, partitioned

X = QParams.per_tensor(0.05, 3, "int8")
Y = QParams.per_tensor(0.11, -20, "int8")
W = QParams.per_tensor(0.02, 0, "int8")


def weight(graph: Qdq, *shape: int) -> str:
    return graph.weight(tensor(shape, "int8") // 2, W)


def unary(op: str, *constants: object, y: QParams = Y, **attributes: object) -> Callable[[Qdq, str], str]:
    """An operator of one tensor and constants, quantized."""

    def build(graph: Qdq, x: str) -> str:
        inputs = [graph.constant(np.asarray(constant)) for constant in constants]
        return graph.fake(graph.node(op, x, *inputs, **attributes), y)

    return build


def moved(op: str, *constants: object, **attributes: object) -> Callable[[Qdq, str], str]:
    """An operator that keeps its input's parameters."""
    return unary(op, *constants, y=X, **attributes)


def weighted(op: str, *shape: int, **attributes: object) -> Callable[[Qdq, str], str]:
    return lambda graph, x: graph.fake(graph.node(op, x, weight(graph, *shape), **attributes), Y)


def binary(op: str) -> Callable[[Qdq, str], str]:
    """Of a tensor and its sigmoid."""

    def build(graph: Qdq, x: str) -> str:
        other = graph.fake(graph.node("Sigmoid", x), QParams.per_tensor(1 / 256, -128, "int8"))
        return graph.fake(graph.node(op, x, other), Y)

    return build


def split(graph: Qdq, x: str) -> str:
    """Into two of four channels, and their sum."""
    first = graph.node("Split", x, graph.constant(np.array([4, 4])), outputs=2, axis=1)
    halves = [graph.fake(first.replace(":0", f":{i}"), X) for i in range(2)]
    return graph.fake(graph.node("Add", *halves), Y)


def concat(graph: Qdq, x: str) -> str:
    return graph.fake(graph.node("Concat", x, graph.fake(graph.node("Relu", x), Y), axis=1), Y)


def clipped(graph: Qdq, x: str) -> str:
    product = graph.node("Conv", x, weight(graph, 4, 8, 1, 1))
    return graph.fake(graph.node("Clip", product, *(graph.constant(np.float32(bound)) for bound in (-1, 6))), Y)


def product(graph: Qdq, x: str) -> str:
    """Of a matrix and its transpose, as attention has it."""
    return graph.fake(graph.node("MatMul", x, graph.node("Transpose", x, perm=[0, 1, 3, 2])), Y)


def resized(graph: Qdq, x: str) -> str:
    """Every pixel four times."""
    modes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    return graph.fake(graph.node("Resize", x, "", graph.constant(np.float32([1, 1, 2, 2])), **modes), X)


def requantize(graph: Qdq, x: str) -> str:
    return graph.fake(x, Y)


OPERATORS: dict[str, Callable[[Qdq, str], str]] = {
    "conv2d": weighted("Conv", 12, 8, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2]),
    "depthwise": weighted("Conv", 8, 1, 3, 3, group=8),
    "transposed": weighted("ConvTranspose", 8, 4, 2, 2, strides=[2, 2]),
    "fully connected": weighted("MatMul", 6, 5),
    "matmul": product,
    "add": binary("Add"),
    "sub": binary("Sub"),
    "mul": binary("Mul"),
    "max pool": moved("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "average pool": unary("AveragePool", kernel_shape=[2, 2]),
    "global average pool": unary("GlobalAveragePool"),
    "global max pool": moved("GlobalMaxPool"),
    "clamp": clipped,
    "sigmoid": unary("Sigmoid"),
    "tanh": unary("Tanh"),
    "hard swish": unary("HardSwish"),
    "softmax": unary("Softmax", y=QParams.per_tensor(1 / 256, -128, "int8"), axis=-1),
    "softmax of channels": unary("Softmax", y=QParams.per_tensor(1 / 256, -128, "int8"), axis=1),
    "concat": concat,
    "pad": moved("Pad", [0, 0, 1, 1, 0, 0, 1, 2], np.float32(0)),
    "slice": moved("Slice", [1, 2], [7, 5], [1, 3]),
    "split": split,
    "reshape": moved("Reshape", [1, 4, 12, 6]),
    "transpose": moved("Transpose", perm=[0, 2, 3, 1]),
    "resize": resized,
    "requantize": requantize,
}  # fmt: skip


def model(operator: str) -> onnx.ModelProto:
    """x -> sigmoid -> the operator -> tanh: moves at the edge would stay outside."""
    graph = Qdq()
    x = graph.input((1, 8, 6, 6), QParams.per_tensor(0.04, -5, "int8"))
    x = graph.fake(graph.node("Sigmoid", x), X)
    y = OPERATORS[operator](graph, x)
    return graph.model(graph.fake(graph.node("Tanh", y), QParams.per_tensor(1 / 128, 0, "int8")))


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_npu_takes_it(operator: str) -> None:
    """All but the model's edges, in one subgraph."""
    grouped = pipeline.run(frontend.load(model(operator)), requantize="fixed")
    for name in FAMILIES:
        split = partitioned(grouped, name)
        assert set(split.host_reasons.values()) == {"it takes or gives float tensors"}
        assert check(split) == 1
        accepted(split, name)


@pytest.mark.parametrize(
    ("shape", "keepdims", "name"),
    [((1, 10), 0, FAMILIES[0]), ((1, 21, 5, 6), 0, FAMILIES[1]), ((1, 21, 5, 6), 1, FAMILIES[2])],
)
def test_the_largest_class(shape: tuple[int, ...], keepdims: int, name: str) -> None:
    """Of an image, or of each pixel: indices come out of the NPU, as the CPU has them."""
    graph = Qdq()
    logits = graph.fake(graph.node("Tanh", graph.input(shape, X)), Y)
    made = graph.model(graph.node("ArgMax", logits, axis=1, keepdims=keepdims))
    alone, both = (
        tvmopt.compile(made, msgspec.structs.replace(targets.host(), requantize="fixed")),
        tvmopt.compile(made, name),
    )
    told = both.manifest["accelerator"]
    assert [*told["host_reasons"].values()] == ["it takes or gives float tensors"]
    for seed in range(4):
        feeds = {"x0": np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)}
        for output, got in both.run(feeds).items():
            np.testing.assert_array_equal(got, alone.run(feeds)[output], strict=True)

"""A float ONNX graph under construction: named layers, random weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

OPSET = 17
IR_VERSION = 9  # older runtimes refuse newer files


class Graph:
    """Collects layers; each returns the name of its output, which is also the name of its node."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rng = np.random.default_rng(0)
        self._inputs: list[ValueInfoProto] = []
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def normal(self, *shape: int, deviation: float) -> np.ndarray:
        """Random weights of mean 0."""
        return self._rng.normal(0.0, deviation, shape).astype(np.float32)

    def he(self, *shape: int) -> np.ndarray:
        """Random weights [O, I, *K] of variance 2 / fan_in (He et al. 2015, arXiv:1502.01852)."""
        return self.normal(*shape, deviation=np.sqrt(2 / prod(shape[1:])))

    def input(self, name: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> str:
        """Add a graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add an initializer."""
        self._weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def op(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(
        self,
        name: str,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        stride: int = 1,
        groups: int = 1,
        pads: Sequence[int] | None = None,
    ) -> str:
        """Square convolution with weight [O, I / groups, K, K]; pads default to the K // 2 that keep the size."""
        outputs, *_, kernel = weight.shape
        return self.op(
            "Conv",
            name,
            x,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", np.zeros(outputs, np.float32) if bias is None else bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=pads or [kernel // 2] * 4,
            group=groups,
        )

    def relu6(self, name: str, x: str) -> str:
        """Clip to 0..6."""
        low, high = (self.constant(f"{name}.{edge}", np.float32(v)) for edge, v in (("min", 0), ("max", 6)))
        return self.op("Clip", name, x, low, high)

    def linear(self, name: str, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
        """Fully connected layer on [N, I] with weight [O, I]."""
        return self.op(
            "Gemm",
            name,
            x,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", np.zeros(len(weight), np.float32) if bias is None else bias),
            transB=1,
        )

    def model(self, output: str, shape: Sequence[int]) -> ModelProto:
        """The finished float model with one output."""
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, outputs, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(model)
        return model

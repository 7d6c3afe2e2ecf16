"""Small ONNX models that tests of reports share."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Collects nodes and constants; the float output of the last one called is the model's output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, out: str = "", **attributes: object) -> str:
        out = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], f"{op}_{len(self.nodes)}", **attributes))
        return out

    def quantize(self, x: str, scale: float, zero_point: int, dtype: str = "int8", out: str = "") -> str:
        """QuantizeLinear then DequantizeLinear; ``out`` names the quantized tensor."""
        params = self.constant(np.float32(scale)), self.constant(np.asarray(zero_point, dtype))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *params, out=out), *params)

    def weight(self, array: np.ndarray, scale: float) -> str:
        params = self.constant(np.float32(scale)), self.constant(np.zeros((), array.dtype))
        return self.node("DequantizeLinear", self.constant(array), *params)

    def model(self, shape: list[int | str], outputs: list[str]) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        ys = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "test", [x], ys, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def residual() -> onnx.ModelProto:
    """x [1, 3, 6, 6] -> Conv+Relu -> q1 -> Conv -> q2; Add(q1, q2) -> q3 -> Gemm -> logits [1, 4], Softmax -> y."""
    generator = np.random.default_rng(0)
    graph = Graph()
    x = graph.quantize("x", 0.02, 3, out="q0")
    w1 = graph.weight(generator.integers(-127, 128, (8, 3, 3, 3), np.int8), 0.01)
    q1 = graph.quantize(graph.node("Relu", graph.node("Conv", x, w1, pads=[1, 1, 1, 1])), 0.05, -128, out="q1")
    w2 = graph.weight(generator.integers(-127, 128, (8, 8, 1, 1), np.int8), 0.005)
    q2 = graph.quantize(graph.node("Conv", q1, w2), 0.06, 5, out="q2")
    q3 = graph.quantize(graph.node("Add", q1, q2), 0.09, -20, out="q3")
    flat = graph.node("Flatten", q3)
    w3 = graph.weight(generator.integers(-127, 128, (288, 4), np.int8), 0.004)
    logits = graph.quantize(graph.node("Gemm", flat, w3), 0.3, 1, out="q4")
    return graph.model([1, 3, 6, 6], [logits, graph.node("Softmax", logits, out="y")])

"""Small quantized ONNX models for tests, written op by op, and what ONNX Runtime makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from tvmopt.model import Model
from tvmopt.quant.params import QParams


class Qdq:
    """Builds a graph; every float value passes through QuantizeLinear and DequantizeLinear unless said otherwise."""

    def __init__(self, opset: int = 17) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {}

    def name(self, stem: str) -> str:
        return f"{stem}/{len(self.nodes) + len(self.constants)}"

    def constant(self, array: np.ndarray, stem: str = "const") -> str:
        name = self.name(stem)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, stem: str | None = None, outputs: int = 1, **attrs: object) -> str:
        """Append a node; the name of its output (with several: of the first, numbered ``name:i``)."""
        name = self.name(stem or op.lower())
        names = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name, **attrs))
        return names[0]

    def input(self, shape: tuple[int, ...], params: QParams) -> str:
        """A float input, quantized."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
        return self.fake(name, params)

    def quantize(self, x: str, params: QParams) -> str:
        axis = {} if params.axis is None else {"axis": params.axis}
        return self.node("QuantizeLinear", x, *self.params(params), stem="q", **axis)

    def dequantize(self, x: str, params: QParams) -> str:
        axis = {} if params.axis is None else {"axis": params.axis}
        return self.node("DequantizeLinear", x, *self.params(params), stem="dq", **axis)

    def params(self, params: QParams) -> tuple[str, str]:
        return self.constant(params.scale, "scale"), self.constant(params.zero_point, "zero_point")

    def fake(self, x: str, params: QParams) -> str:
        """Quantize and dequantize."""
        return self.dequantize(self.quantize(x, params), params)

    def weight(self, array: np.ndarray, params: QParams) -> str:
        """A quantized constant, dequantized."""
        return self.dequantize(self.constant(array, "weight"), params)

    def bias(self, array: np.ndarray, x: QParams, w: QParams) -> str:
        """An int32 bias in units of ``x.scale * w.scale``."""
        scale = (x.scale * w.scale).astype(np.float32)
        zero_point = np.zeros(scale.shape, np.int32)
        return self.weight(array, QParams(scale, zero_point, 0 if scale.ndim else None))

    def model(self, *outputs: str) -> onnx.ModelProto:
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        return model


def imported(model: onnx.ModelProto) -> Model:
    """The model as TVM's importer gives it."""
    from tvm.relax.frontend.onnx import from_onnx

    return Model(from_onnx(model, keep_params_in_input=False), (), ())


def onnxruntime_run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.qdqisint8allowed", "1")  # int8 in integers, as uint8 is
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {value.name: array for value, array in zip(session.get_inputs(), inputs, strict=True)})

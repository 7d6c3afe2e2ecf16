"""LSTM, GRU and RNN: every option against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.frontend.runs import by_onnxruntime, by_tvm, compare, feeds, ops
from tvmopt import frontend
from tvmopt.errors import ModelError, UnsupportedError
from tvmopt.quant.cost import counts

GATES = {"LSTM": 4, "DynamicQuantizeLSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, FEATURES, HIDDEN = 4, 2, 5, 3


def recurrent(
    op: str, *, bias: bool = True, states: bool = False, peepholes: bool = False, lengths: list[int] | None = None,
    batch: int = BATCH, opset: int = 14, **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    """A model of one node, whose weights are constants and whose initial states are inputs."""
    rng, gates = np.random.default_rng(0), GATES[op]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    quantized = op == "DynamicQuantizeLSTM"

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    constants: dict[str, np.ndarray] = {
        "W": uniform(directions, gates * HIDDEN, FEATURES),
        "R": uniform(directions, gates * HIDDEN, HIDDEN),
    }
    if quantized:
        for name, inputs in (("W", FEATURES), ("R", HIDDEN)):
            constants[name] = rng.integers(-128, 128, (directions, inputs, 4 * HIDDEN), np.int8)
            constants[f"{name}s"] = np.float32([0.01, 0.012][:directions])
            constants[f"{name}z"] = np.int8([3, -2][:directions])
    names = ["x", "W", "R", "B" * bias, "lengths" if lengths else "", *(["h", "c"] if states else ["", ""])]
    if bias:
        constants["B"] = uniform(directions, 2 * gates * HIDDEN)
    if lengths:
        constants["lengths"] = np.int32(lengths)
    names = names[: 8 if gates == 4 else 6]
    if peepholes:
        constants["P"] = uniform(directions, 3 * HIDDEN)
    if gates == 4:
        names += ["P" * peepholes, *(["Ws", "Wz", "Rs", "Rz"] if quantized else [])]
    state = ["y", "yh", "yc"][: 3 if gates == 4 else 2]
    node = helper.make_node(
        op, names, state, hidden_size=HIDDEN, domain="com.microsoft" if quantized else "", **attributes
    )
    shapes = {
        "x": [STEPS, batch, FEATURES], "y": [STEPS, directions, batch, HIDDEN],
        **{name: [directions, batch, HIDDEN] for name in ("h", "c", "yh", "yc")},
    }  # fmt: skip
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [node],
        "g",
        [info[name] for name in names if name in ("x", "h", "c")],
        [info[name] for name in state],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


CASES: dict[str, dict[str, Any]] = {
    "lstm": {"op": "LSTM", "bias": False},
    "lstm of opset 7": {"op": "LSTM", "opset": 7, "direction": "reverse", "states": True},
    "lstm, all of it": {
        "op": "LSTM", "direction": "bidirectional", "states": True, "peepholes": True, "lengths": [STEPS] * BATCH,
        "clip": 0.7,
    },
    "lstm, coupled": {"op": "LSTM", "input_forget": 1, "states": True},
    "gru": {"op": "GRU", "bias": False, "direction": "reverse"},
    "gru, all of it": {"op": "GRU", "direction": "bidirectional", "states": True, "clip": 0.7},
    "gru, linear before reset": {"op": "GRU", "direction": "bidirectional", "linear_before_reset": 1, "states": True},
    "gru, linear before reset, no bias": {"op": "GRU", "linear_before_reset": 1, "bias": False},
    "rnn": {"op": "RNN", "direction": "bidirectional", "states": True},
    "rnn, clipped": {"op": "RNN", "clip": 0.3, "bias": False},
    "activations": {
        "op": "LSTM", "direction": "bidirectional",
        "activations": ["HardSigmoid", "affine", "LeakyRelu", "Sigmoid", "ScaledTanh", "Softsign"],
        "activation_alpha": [0.3, 0.5, 0.2, 0.8], "activation_beta": [0.4, 0.1, 0.7],
    },
    "more activations": {"op": "GRU", "activations": ["ThresholdedRelu", "Elu"], "activation_alpha": [0.2, 1.5]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_option(case: str) -> None:
    compare(recurrent(**CASES[case]))


def test_the_whole_input_is_one_product_and_a_state_of_zeros_is_none() -> None:
    loaded = frontend.load(recurrent("LSTM"))
    assert ops(loaded).count("matmul") == 1 + STEPS - 1


def test_steps_share_their_weights() -> None:
    """Each step counts its products, but only one of them the weight."""
    found = counts(frontend.load(recurrent("LSTM", bias=False, states=True)).mod)
    products = 4 * HIDDEN * (FEATURES + HIDDEN)
    assert (found["weight_bytes"], found["macs"]) == (4 * products, STEPS * BATCH * products)


def test_only_outputs_that_are_used_have_to_be_named() -> None:
    proto = recurrent("LSTM", direction="reverse", batch=1)
    proto.graph.node[0].output[0] = proto.graph.node[0].output[2] = ""
    del proto.graph.output[2], proto.graph.output[0]
    compare(proto)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("states", [False, True])
def test_dynamically_quantized(direction: str, states: bool) -> None:
    """Rounding may go the other way after a step, since ONNX Runtime's sigmoid and tanh are approximate; it does not
    here. Its own scales depend on how threads share a batch, so there is one sequence."""
    proto = recurrent("DynamicQuantizeLSTM", direction=direction, batch=1, states=states)
    loaded = compare(proto)
    assert ops(loaded).count("matmul") == (STEPS + states) * (2 if direction == "bidirectional" else 1)


def test_quantized_weights_of_a_float_lstm() -> None:
    """A weight may come from anywhere: here from a DequantizeLinear."""
    proto = recurrent("LSTM")
    (w,) = [tensor for tensor in proto.graph.initializer if tensor.name == "W"]
    stored = numpy_helper.from_array((numpy_helper.to_array(w) * 127).astype(np.int8), "Wq")
    proto.graph.initializer.remove(w)
    scale = numpy_helper.from_array(np.float32(1 / 127), "Wscale")
    proto.graph.initializer.extend([stored, scale])
    proto.graph.node.insert(0, helper.make_node("DequantizeLinear", ["Wq", "Wscale"], ["W"]))
    compare(proto)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"lengths": [STEPS, 2]}, UnsupportedError, r"LSTM whose sequence_lens are not all 4, as its input has it"),
        ({"activations": ["Sigmoid", "Cosh", "Tanh"]}, UnsupportedError, "activation Cosh of LSTM is not supported"),
        ({"activations": ["Sigmoid", "Tanh"]}, ModelError, "LSTM has 2 activations, not 3"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        frontend.load(recurrent("LSTM", **changes))


def test_lengths_and_shapes_have_to_be_known() -> None:
    proto = recurrent("GRU", lengths=[STEPS] * BATCH)
    proto.graph.initializer.remove(next(t for t in proto.graph.initializer if t.name == "lengths"))
    proto.graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [BATCH]))
    with pytest.raises(UnsupportedError, match=r"GRU of sequences whose lengths are computed.*'lengths' is a constant"):
        frontend.load(proto)
    proto = recurrent("DynamicQuantizeLSTM")
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "steps"
    with pytest.raises(UnsupportedError, match="DynamicQuantizeLSTM of a sequence whose shape is unknown"):
        frontend.load(proto)


@pytest.mark.parametrize(("op", "shape"), [("LSTM", (0, 2, 5)), ("DynamicQuantizeLSTM", (4, 5))])
def test_inputs_that_are_no_sequence(op: str, shape: tuple[int, ...]) -> None:
    proto = recurrent(op)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedError, match=rf"node '{op}:y': {op} of an input of shape \({shape[0]}, "):
        frontend.load(proto)


def test_weights_may_be_inputs() -> None:
    proto = recurrent("GRU")
    weight = next(t for t in proto.graph.initializer if t.name == "R")
    proto.graph.initializer.remove(weight)
    proto.graph.input.append(helper.make_tensor_value_info("R", TensorProto.FLOAT, list(weight.dims)))
    loaded = frontend.load(proto)
    arrays = {name: array / 3 for name, array in feeds(loaded).items()}
    for ours, theirs in zip(by_tvm(loaded, arrays), by_onnxruntime(proto, arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

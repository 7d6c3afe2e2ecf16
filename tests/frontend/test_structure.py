"""Names, edges and stored values of the file."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.frontend.runs import by_tvm, model
from tvmopt import frontend
from tvmopt.errors import ModelError, TvmoptError, UnsupportedError


def refusal(proto: onnx.ModelProto, kind: type[TvmoptError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        frontend.load(proto)
    return str(caught.value)


def graph(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 13)])


def node(inputs: str, outputs: str, name: str = "") -> onnx.NodeProto:
    return helper.make_node("Add", inputs.split(), outputs.split(), name=name)


def test_empty():
    assert refusal(graph()) == "<memory>: the graph is empty: it has no nodes"


def test_cycle():
    proto = graph(node("x c", "a", "one"), node("a x", "b", "two"), node("b x", "c", "three"), node("c x", "y"))
    message = refusal(proto)
    assert "the graph has a cycle" in message
    assert all(name in message for name in ("one", "two", "three"))


def test_node_that_reads_itself():
    assert refusal(graph(node("x y", "y", "n"))) == "<memory>: node 'n': the graph has a cycle: n -> n"


def test_two_nodes_with_an_output_of_one_name():
    proto = graph(node("x x", "a", "one"), node("x x", "a", "two"), node("a a", "y"))
    assert refusal(proto) == "<memory>: node 'two': its output 'a' is already the name of an output of node 'one'"


def test_output_with_the_name_of_an_input():
    proto = graph(node("x x", "x"), node("x x", "y"))
    assert refusal(proto) == "<memory>: node 'Add:x': its output 'x' is already the name of a graph input"


@pytest.mark.parametrize("field", ["input", "initializer"])
def test_two_of_one_name(field):
    proto = model("g (float[4] x) => (float[4] y) { y = Add(x, w) }", {"w": np.ones(4, np.float32)})
    getattr(proto.graph, field).append(getattr(proto.graph, field)[0])
    assert "there are two of this name" in refusal(proto)


def test_input_from_nowhere():
    assert (
        refusal(graph(node("x nothing", "y"))) == "<memory>: node 'Add:y': its input 'nothing' is produced by nothing"
    )


def test_output_from_nowhere():
    assert refusal(graph(node("x x", "z"))) == "<memory>: the graph output 'y' is produced by nothing"


def test_nodes_may_come_in_any_order():
    proto = graph(node("a x", "y"), node("x x", "a"))
    x = np.float32([1, 2])
    np.testing.assert_array_equal(by_tvm(frontend.load(proto), {"x": x})[0], 3 * x)


def test_initializer_that_is_also_an_input_is_a_constant():
    proto = model("g (float[2] x, float[2] w) => (float[2] y) { y = Add(x, w) }", {"w": np.float32([5, 6])})
    loaded = frontend.load(proto)
    assert [spec.name for spec in loaded.inputs] == ["x"]


@pytest.mark.parametrize(
    ("dtype", "value", "range_"),
    [
        (TensorProto.UINT8, 256, "uint8, [0, 255]"),
        (TensorProto.UINT8, -1, "uint8, [0, 255]"),
        (TensorProto.INT8, 128, "int8, [-128, 127]"),
        (TensorProto.BOOL, 2, "bool, [0, 1]"),
    ],
)
def test_value_out_of_the_range_of_its_type(dtype, value, range_):
    proto = graph(node("x x", "y"))
    proto.graph.initializer.append(TensorProto(name="zero", data_type=dtype, dims=[1], int32_data=[value]))
    assert refusal(proto) == f"<memory>: node 'zero': its value {value} is out of the range of {range_}"


def test_opset_too_new():
    proto = graph(node("x x", "y"))
    proto.opset_import[0].version = 1000
    assert "uses ONNX opset 1000; the installed onnx package" in refusal(proto, UnsupportedError)


def test_opset_too_old():
    proto = graph(node("x x", "y"))
    proto.opset_import[0].version = 5
    assert "the oldest supported is" in refusal(proto, UnsupportedError)

"""Symbolic dimensions, and shapes that contradict each other."""

import numpy as np
import pytest

from tests.frontend.runs import by_tvm, model
from tvmopt import frontend
from tvmopt.errors import InputError, ModelError, UnsupportedError

SYMBOLIC = """g (float[batch,3,?] x, float[batch,1] b) => (float[batch,3,?] y) {
    c = Unsqueeze(b, axis)
    y = Add(x, c)
}"""


def load(shapes=None):
    return frontend.load(model(SYMBOLIC, {"axis": np.int64([2])}), shapes)


def test_unbound_dimensions_stay_symbolic():
    loaded = load()
    assert [spec.shape for spec in loaded.inputs] == [("batch", 3, "x_2"), ("batch", 1)]
    assert loaded.outputs[0].shape == ("batch", 3, "x_2")
    with pytest.raises(UnsupportedError) as caught:
        frontend.require_static(loaded)
    assert str(caught.value) == (
        "<memory>: input 'x' has unbound dimensions: (batch, 3, x_2) (bind them, on the command line as "
        "--shape x=1,3,1, in Python as shapes={'x': (1, 3, 1)})"
    )


def test_bound_in_one_input_is_bound_in_all():
    loaded = load({"x": (2, 3, 4)})
    frontend.require_static(loaded)
    assert [spec.shape for spec in loaded.inputs] == [(2, 3, 4), (2, 1)]
    assert loaded.outputs[0].shape == (2, 3, 4)
    x, b = np.ones((2, 3, 4), np.float32), np.float32([[1], [2]])
    np.testing.assert_array_equal(by_tvm(loaded, {"x": x, "b": b})[0], x + b[:, :, None])


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"z": (1,)}, "there is no input 'z'; the inputs are x, b"),
        ({"x": (2, 3, 4.0)}, "input 'x' cannot have the shape (2, 3, 4.0)"),
        ({"x": "abc"}, "input 'x' cannot have the shape 'abc'"),
        ({"x": 3}, "input 'x' cannot have the shape 3"),
        ({"x": (2, 3)}, "input 'x' has 3 dimensions, (2, 3) has 2"),
        ({"x": (2, 4, 4)}, "input 'x' has shape (batch, 3, ?), it cannot be (2, 4, 4)"),
        ({"x": (0, 3, 4)}, "input 'x' has shape (batch, 3, ?), it cannot be (0, 3, 4)"),
        ({"x": (2, 3, 4), "b": (5, 1)}, "input 'b' has shape (batch, 1), it cannot be (5, 1); 'batch' is 2 already"),
    ],
)
def test_shapes_that_do_not_fit(shapes, reason):
    with pytest.raises(InputError) as caught:
        load(shapes)
    assert str(caught.value) == f"<memory>: {reason}"


def test_input_of_unknown_rank():
    proto = model("g (float[2] x) => (float[2] y) { y = Abs(x) }")
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedError, match="number of dimensions of the graph input 'x' is unknown"):
        frontend.load(proto)
    assert frontend.load(proto, {"x": (5,)}).outputs[0].shape == (5,)


def test_shapes_that_contradict_each_other():
    with pytest.raises(ModelError) as caught:
        frontend.load(model("g (float[2,3] x, float[4,5] b) => (float[2,5] y) { y = MatMul(x, b) }"))
    assert str(caught.value) == "<memory>: node 'MatMul:y': MatMul: Incompatible dimensions for matrix multiplication"


def test_types_that_contradict_each_other():
    with pytest.raises(ModelError, match=r"node 'Add:y': Add: .*type"):
        frontend.load(model("g (float[2] x, int32[2] b) => (float[2] y) { y = Add(x, b) }"))


def test_dimensions_that_old_exporters_leave_open():
    """-1 and "?" are no symbols: two of them need not be the same."""
    proto = model("g (float[1,3,?,?] x) => (float[1,3,?,?] y) { y = Abs(x) }")
    first, _, third, fourth = proto.graph.input[0].type.tensor_type.shape.dim
    first.dim_value, third.dim_param, fourth.dim_param = -1, "?", "?"
    assert frontend.load(proto).inputs[0].shape == ("x_0", 3, "x_2", "x_3")
    assert frontend.load(proto, {"x": (1, 3, 48, 192)}).outputs[0].shape == (1, 3, 48, 192)


def test_what_depends_on_symbolic_dimensions_says_so():
    proto = model(
        "g (float[batch,6] x) => (float[a,b] y) { s = Shape(x) n = ReduceSum<keepdims=1>(s) "
        "t = Concat<axis=0>(one, n) y = Reshape(x, t) }",
        {"one": np.int64([1])},
    )
    with pytest.raises(UnsupportedError, match=r"when the dimensions of 'x' \(batch, 6\) are known: .*--shape x=1,6"):
        frontend.load(proto)

"""Inputs that are given a value when a model is loaded."""

import numpy as np
import pytest

from tests.frontend.runs import by_onnxruntime, by_tvm, model
from tvmopt import frontend
from tvmopt.errors import InputError, UnsupportedError

BRANCHES = """g (float[2,3] x, int64 rate) => (float[N] y) <int64 fast = {16000}> {
    c = Equal(rate, fast)
    y = If(c) <
        then_branch = a () => (float[6] t) { shape = Constant<value_ints = [6]>() t = Reshape(x, shape) },
        else_branch = b () => (float[2] e) { e = ReduceSum<keepdims = 0>(x, axes) }
    >
}"""
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def branches():
    return model(BRANCHES, {"axes": np.int64([1])})


@pytest.mark.parametrize("rate", [16000, 8000])
def test_the_branch_that_is_taken(rate):
    loaded = frontend.load(branches(), constants={"rate": rate})
    assert [spec.name for spec in loaded.inputs] == ["x"]
    assert loaded.constants == {"rate": np.int64(rate)}
    (want,) = by_onnxruntime(branches(), {"x": X, "rate": np.array(rate)})
    np.testing.assert_array_equal(by_tvm(loaded, {"x": X})[0], want)


def test_without_it_the_error_tells_how():
    with pytest.raises(UnsupportedError, match=r"--constant rate=VALUE, in Python constants={'rate': VALUE}\)$"):
        frontend.load(branches())


def test_inputs_that_the_data_is_computed_from_are_not_proposed():
    body = """g (float[2,3] x) => (float[N] y) <int64[1] k = {6}, float zero = {0}> {
        s = ReduceSum<keepdims = 0>(x)
        c = Less(s, zero)
        y = If(c) <
            then_branch = a () => (float[6] t) { t = Reshape(x, k) },
            else_branch = b () => (float[1] e) { e = Cast<to = 1>(k) }
        >
    }"""
    with pytest.raises(UnsupportedError, match=r"supported when 'c' is a constant\)$"):
        frontend.load(model(body))


SIZES = (
    "g (float[n,3] x, float[n,m] y, bool[2] f) => (float[n,3] z) { s = ReduceSum(y, a) t = Add(x, s) z = Identity(t) }"
)


@pytest.mark.parametrize(
    ("given", "shapes", "want"),
    [
        ({"y": [[1, 2], [3, 4]]}, {}, [[1, 2], [3, 4]]),
        ({"y": np.float64([[1.5], [2]])}, {}, [[1.5], [2]]),
        ({"y": 0.5}, {"y": (2, 4)}, [[0.5] * 4] * 2),
    ],
)
def test_arrays_and_one_number_for_all(given, shapes, want):
    loaded = frontend.load(model(SIZES, {"a": np.int64([1])}), shapes, {**given, "f": False})
    assert [(spec.name, spec.shape) for spec in loaded.inputs] == [("x", (2, 3))]
    assert (loaded.constants["y"].dtype, loaded.constants["f"].tolist()) == (np.float32, [False, False])
    np.testing.assert_array_equal(loaded.constants["y"], want)
    np.testing.assert_array_equal(by_tvm(loaded, {"x": X})[0], X + np.sum(want, 1, keepdims=True, dtype=np.float32))


def test_an_output_that_is_a_fixed_input():
    loaded = frontend.load(
        model("g (float[2] x, float[2] y) => (float[2] z, float[2] y) { z = Neg(x) }"), None, {"y": 3}
    )
    assert [spec.name for spec in loaded.outputs] == ["z", "y"]
    assert by_tvm(loaded, {"x": np.float32([1, 2])})[1].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"q": 1}, "there is no input 'q'; the inputs are x, y, f"),
        ({"f": 2}, "input 'f' is BOOL, it cannot be 2"),
        ({"f": [True]}, "input 'f' has shape (2), it cannot be (1,)"),
        ({"y": 1}, "input 'y' has unknown dimensions, one number is not enough (give its shape, too)"),
        ({"y": "a"}, "input 'y' is FLOAT, it cannot be <U1 'a'"),
        ({"y": [[1], [2]], "x": [[1, 2, 3]]}, "input 'x' has shape (n, 3), it cannot be (1, 3); 'n' is 2 already"),
    ],
)
def test_values_that_do_not_fit(given, reason):
    with pytest.raises(InputError) as caught:
        frontend.load(model(SIZES, {"a": np.int64([1])}), None, given)
    assert str(caught.value) == f"<memory>: {reason}"


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 300), ("int64", 1.5), ("int8", -129), ("bool", 0.5)])
def test_values_of_another_type(dtype, value):
    with pytest.raises(InputError, match=f"input 'k' is {dtype.upper()}, it cannot be {value}"):
        frontend.load(model(f"g ({dtype} k) => ({dtype} y) {{ y = Identity(k) }}"), None, {"k": value})

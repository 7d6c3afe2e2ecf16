"""ONNX's backend interface and conformance suite."""

import os
import re

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import onnx_coverage
from tests.frontend.runs import model
from tvmopt import onnx_backend
from tvmopt.errors import InputError, UnsupportedError

QUANTIZED = re.compile(r"test_(basic_)?(de|dynamic)?(quantizelinear|qlinear|matmulinteger|convinteger)")
# Quantization to floating-point numbers of 8 and 4 bits.
NOT_INTEGERS = re.compile(r"_(e4m3fn|e5m2|float4e2m1)")
ADD = model("g (float[2] a, float[2] b) => (float[2] total, float[2] twice) { total = Add(a, b) twice = Add(a, a) }")
A, B = np.float32([1, 2]), np.float32([3, 5])


@pytest.mark.parametrize("name", sorted(filter(QUANTIZED.match, onnx_coverage.cases())))
def test_quantization(name):
    result = onnx_coverage.run(onnx_coverage.cases()[name])
    if NOT_INTEGERS.search(name):
        assert result.status == "refused"
        assert re.fullmatch(
            r"UnsupportedError: node '\w+:\w+': quantization to float\w+ is not supported", result.reason
        )
    else:
        assert result.status == "passed", result.reason


def test_there_are_cases_of_every_quantized_operator():
    operators = {onnx_coverage.operator(name) for name in filter(QUANTIZED.match, onnx_coverage.cases())}
    assert operators >= {
        "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
        "QuantizeLinear",
    }  # fmt: skip


def test_table_is_current():
    """Every 20th case, of all that the table is about, has the result that it says."""
    expected = onnx_coverage.read()
    names = sorted(onnx_coverage.cases())
    assert f"of onnx {onnx.__version__})" in onnx_coverage.TABLE.read_text(), (
        "write it anew: python -m tests.onnx_coverage"
    )
    assert set(expected) <= set(names)
    results = onnx_coverage.run_all(names[::20], workers=os.cpu_count() or 1)
    wrong = {name: result for name, result in results.items() if result.status != expected.get(name, "passed")}
    assert not wrong, "write it anew: python -m tests.onnx_coverage"


def test_nothing_fails_or_crashes():
    assert set(onnx_coverage.read().values()) <= {"refused", "differs"}


def test_a_case_that_ends_its_process_is_reported(monkeypatch):
    monkeypatch.setattr(onnx_coverage._Process, "run", lambda self, name: self._kill(name), raising=True)
    monkeypatch.setattr(onnx_coverage._Process, "_kill", _kill, raising=False)
    results = onnx_coverage.run_all(["test_add", "test_relu"], workers=1)
    assert {result.status for result in results.values()} == {"crashed"}


def _kill(self, name):
    self._process.kill()
    self._process.wait()
    return ORIGINAL_RUN(self, name)


ORIGINAL_RUN = onnx_coverage._Process.run


def test_outputs_by_position_and_by_name():
    outputs = onnx_backend.prepare(ADD).run([A, B])
    np.testing.assert_array_equal(outputs[0], A + B)
    np.testing.assert_array_equal(outputs["twice"], 2 * A)
    assert len(outputs) == 2


def test_inputs_by_name():
    (total, _) = onnx_backend.run_model(ADD, {"b": B, "a": A})
    np.testing.assert_array_equal(total, A + B)


def test_inputs_that_do_not_fit():
    compiled = onnx_backend.prepare(ADD)
    with pytest.raises(InputError, match="b"):
        compiled.run({"a": A})
    with pytest.raises(InputError, match="the model has 2 inputs, 1 are given"):
        compiled.run([A])


def test_run_node():
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    (y,) = onnx_backend.run_node(node, [np.float32([0.25, 1, 100]), np.float32(0.5), np.int8(1)])
    np.testing.assert_array_equal(y, np.int8([1, 3, 127]))


def test_run_node_in_an_older_opset():
    node = helper.make_node("ReduceSum", ["x"], ["y"], axes=[0], keepdims=0)
    (y,) = onnx_backend.run_node(node, [np.float32([[1, 2], [3, 4]])], opset_version=11)
    np.testing.assert_array_equal(y, np.float32([4, 6]))


def test_types_of_four_bits_come_and_go_as_such():
    proto = model(
        "g (int4[3] x) => (int4[3] y) <float s = {0.5}> { d = DequantizeLinear(x, s) y = QuantizeLinear(d, s, z) }",
        opset=21,
    )
    proto.graph.initializer.append(helper.make_tensor("z", TensorProto.INT4, [], [0]))
    x = np.array([-8, 3, 7], ml_dtypes.int4)
    (y,) = onnx_backend.run_model(proto, [x])
    assert y.dtype == ml_dtypes.int4
    np.testing.assert_array_equal(y, x)


def test_symbolic_dimensions():
    proto = model("g (float[n] x) => (float[n] y) { y = Abs(x) }")
    with pytest.raises(UnsupportedError, match="unbound"):
        onnx_backend.prepare(proto)
    (y,) = onnx_backend.prepare(proto, shapes={"x": (2,)}).run([-A])
    np.testing.assert_array_equal(y, A)


def test_what_is_supported():
    assert onnx_backend.supports_device("CPU")
    assert not onnx_backend.supports_device("CUDA")
    assert onnx_backend.is_compatible(ADD)
    assert not onnx_backend.is_compatible(model("g (float[2,2] x) => (float y) { y = Det(x) }"))

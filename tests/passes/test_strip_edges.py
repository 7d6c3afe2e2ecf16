"""StripEdges, before and after; and models that take and give bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from tvm.script import ir as I
from tvm.script import relax as R

import tvmopt
from tests import tools
from tests.report.models import Graph
from tvmopt import demo
from tvmopt.errors import UnsupportedError
from tvmopt.model import TensorSpec
from tvmopt.passes.strip_edges import EDGES, StripEdges
from tvmopt.quant import reference
from tvmopt.quant.params import QParams

S, Z = R.const(0.5, "float32"), R.const(3, "int8")
S2, Z2 = R.const(0.25, "float32"), R.const(7, "uint8")


def check(before: tvm.IRModule, expected: tvm.IRModule) -> None:
    after = StripEdges()(before)
    tvm.ir.assert_structural_equal(after.without_attr(EDGES), expected)
    tvm.relax.analysis.well_formed(after)


def test_one_input_quantized_twice_alike_and_two_outputs() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((2, 4), "float32"), ids: R.Tensor((2, 4), "int64")):
            with R.dataflow():
                a = R.quantize(x, S, Z, axis=-1, out_dtype="int8")
                b = R.reshape(a, (8,))
                c = R.quantize(x, S, Z, axis=-1, out_dtype="int8")
                d = R.permute_dims(c, [1, 0])
                y = R.dequantize(b, S, Z, axis=-1)
                z = R.dequantize(d, S, Z, axis=-1)
                out = y, z, ids
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((2, 4), "int8"), ids: R.Tensor((2, 4), "int64")):
            with R.dataflow():
                b = R.reshape(x, (8,))
                d = R.permute_dims(x, [1, 0])
                out = b, d, ids
                R.output(out)
            return out

    check(Before, Expected)


def test_a_value_that_is_also_used_in_float_stays() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((4,), "float32"), q: R.Tensor((4,), "uint8")):
            with R.dataflow():
                a = R.quantize(x, S, Z, axis=-1, out_dtype="int8")
                b = R.add(x, x)
                y = R.dequantize(q, S2, Z2, axis=-1)
                z = R.exp(y)
                out = y, z, b, a
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((4,), "float32"), q: R.Tensor((4,), "uint8")):
            with R.dataflow():
                a = R.quantize(x, S, Z, axis=-1, out_dtype="int8")
                b = R.add(x, x)
                y = R.dequantize(q, S2, Z2, axis=-1)
                z = R.exp(y)
                out = q, z, b, a
                R.output(out)
            return out

    check(Before, Expected)


def test_an_output_that_is_an_input() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((4,), "float32")):
            with R.dataflow():
                a = R.quantize(x, S2, Z2, axis=-1, out_dtype="uint8")
                y = R.dequantize(a, S2, Z2, axis=-1)
                R.output(y)
            return y

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((4,), "uint8")):
            with R.dataflow():
                y = x
                R.output(y)
            return y

    check(Before, Expected)


def quantized(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    assert spec.scale is not None
    assert spec.zero_point is not None
    return reference.quantize(array, QParams.per_tensor(spec.scale, spec.zero_point, spec.dtype))


def dequantized(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    assert spec.scale is not None
    assert spec.zero_point is not None
    return reference.dequantize(array, QParams.per_tensor(spec.scale, spec.zero_point, spec.dtype))


def check_same(model: Path | onnx.ModelProto, target: str, draw: tuple[float, float], dtype: str = "int8") -> None:
    """An artifact of bytes gives what the one of floats does, as bytes."""
    here, bytes_ = tvmopt.compile(model), tvmopt.compile(model, target, io="int8")
    ((x,), (y,)) = bytes_.inputs, bytes_.outputs
    assert (x.dtype, y.dtype) == (dtype, dtype)
    rng = np.random.default_rng(0)
    for _ in range(3):
        values = rng.uniform(*draw, x.shape).astype("float32")
        expected = here.run({x.name: values})[y.name]
        found = bytes_.run({x.name: quantized(x, values)})[y.name]
        assert np.array_equal(dequantized(y, found), expected)
        assert np.ptp(expected) > 0


def test_demo_takes_and_gives_bytes() -> None:
    check_same(demo.INT8_MODEL, "host", (0, 16))


def unsigned() -> onnx.ModelProto:
    """A move at the end, and tensors that kernels keep as int8 on some targets."""
    graph = Graph()
    x = graph.quantize("x", 0.02, 100, "uint8")
    w = graph.weight(np.random.default_rng(0).integers(-127, 128, (8, 3, 3, 3), np.int8), 0.01)
    y = graph.quantize(graph.node("Relu", graph.node("Conv", x, w, pads=[1, 1, 1, 1])), 0.05, 0, "uint8")
    return graph.model([1, 3, 6, 6], [graph.node("Transpose", y, perm=[0, 2, 3, 1])])


@pytest.mark.parametrize("target", ["host", "arm/cortex-m4"])
def test_unsigned_bytes(target: str) -> None:
    if target != "host":
        tools.need(*tools.BARE_METAL)
    check_same(unsigned(), target, (-2, 3), "uint8")


def test_autoencoder_takes_and_gives_bytes_on_a_board(mlperf_tiny: dict[str, Path]) -> None:
    tools.need(*tools.BARE_METAL)
    check_same(mlperf_tiny["ad"], "arm/cortex-m4", (-3, 3))


def test_keyword_spotting_takes_bytes_on_a_board(mlperf_tiny: dict[str, Path]) -> None:
    """And gives the probabilities that its softmax computes in float."""
    tools.need(*tools.BARE_METAL)
    here = tvmopt.compile(mlperf_tiny["kws"])
    board = tvmopt.compile(mlperf_tiny["kws"], "arm/cortex-m4", io="int8-inputs")
    ((x,), (y,)) = board.inputs, board.outputs
    assert (x.dtype, y.dtype) == ("int8", "float32")
    values = np.random.default_rng(0).uniform(-10, 10, x.shape).astype("float32")
    expected = here.run({x.name: values})[y.name]
    assert np.array_equal(board.run({x.name: quantized(x, values)})[y.name], expected)
    assert np.ptp(expected) > 0


def test_header_and_manifest_tell_scale_and_zero_point(tmp_path: Path) -> None:
    artifact = tvmopt.compile(demo.INT8_MODEL, io="int8")
    artifact.save(tmp_path / "digits.so")
    (x,) = artifact.inputs
    header = (tmp_path / "digits.h").read_text()
    assert f"inputs[0]  input: int8 [1][1][8][8], (q - {x.zero_point}) * {x.scale}, 64 bytes" in header
    (told,) = artifact.manifest["inputs"]
    assert (told["dtype"], told["scale"], told["zero_point"]) == ("int8", x.scale, x.zero_point)


def several_ways() -> onnx.ModelProto:
    graph = Graph()
    a, b = graph.quantize("x", 0.1, 0), graph.quantize("x", 0.2, 0)
    return graph.model([4], [graph.quantize(graph.node("Add", a, b), 0.3, 0)])


def in_float() -> onnx.ModelProto:
    graph = Graph()
    return graph.model([4], [graph.quantize(graph.node("Exp", "x"), 0.1, 0)])


def out_float() -> onnx.ModelProto:
    graph = Graph()
    return graph.model([4], [graph.node("Exp", graph.quantize("x", 0.1, 0), out="y")])


def sixteen_bits() -> onnx.ModelProto:
    graph = Graph()
    x = graph.constant(np.float32(0.1)), graph.constant(np.asarray(0, "int16"))
    model = graph.model([4], [graph.node("DequantizeLinear", graph.node("QuantizeLinear", "x", *x), *x)])
    model.opset_import[0].version = 21
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (out_float, r"node 'y': this output cannot be int8: exp computes it in float \(let the ONNX model"),
        (in_float, "node 'x': this input cannot be int8: exp uses it in float"),
        (several_ways, "node 'x': this input cannot be int8: it is quantized in several ways"),
        (sixteen_bits, "node 'x': this input cannot be int8: it is not quantized to 8 bits"),
    ],
)
def test_edges_that_are_float(model: object, message: str) -> None:
    assert callable(model)
    with pytest.raises(UnsupportedError, match=message):
        tvmopt.compile(model(), io="int8")

"""QuantizeOutputs, before and after; and models that end in a float softmax, with bytes for outputs."""

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
from tests.report.models import Graph, residual
from tvmopt.passes import pipeline
from tvmopt.passes.quantize_outputs import QuantizeOutputs
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Softmax
from tvmopt.quant.relax_form import from_function

S, Z = R.const(1 / 256, "float32"), R.const(-128, "int8")
S2, Z2 = R.const(1 / 128, "float32"), R.const(0, "int8")


def check(before: tvm.IRModule, expected: tvm.IRModule) -> None:
    after = QuantizeOutputs()(before)
    tvm.ir.assert_structural_equal(after, expected)
    tvm.relax.analysis.well_formed(after)


def test_one_output_that_is_moved() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((2, 4), "float32")):
            with R.dataflow():
                a = R.nn.softmax(x, axis=1)
                y = R.reshape(a, (8,))
                R.output(y)
            return y

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((2, 4), "float32")):
            with R.dataflow():
                a = R.nn.softmax(x, axis=1)
                b = R.reshape(a, (8,))
                c = R.quantize(b, S, Z, axis=-1, out_dtype="int8")
                y = R.dequantize(c, S, Z, axis=-1)
                R.output(y)
            return y

    check(Before, Expected)


def test_several_outputs_one_of_which_is_used_inside() -> None:
    """Only what is returned is quantized; what else is float, or may be out of range, stays."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((2, 4), "float32")):
            with R.dataflow():
                a = R.sigmoid(x)
                b = R.tanh(a)
                c = R.exp(b)
                d = R.nn.pad(b, (0, 0, 1, 1), "constant", 7.0)
                e = R.concat((a, b), axis=1)
                out = a, b, c, d, e
                R.output(out)
            return out

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((2, 4), "float32")):
            with R.dataflow():
                a = R.sigmoid(x)
                b = R.tanh(a)
                c = R.exp(b)
                d = R.nn.pad(b, (0, 0, 1, 1), "constant", 7.0)
                e = R.concat((a, b), axis=1)
                p = R.quantize(a, S, Z, axis=-1, out_dtype="int8")
                q = R.dequantize(p, S, Z, axis=-1)
                r = R.quantize(b, S2, Z2, axis=-1, out_dtype="int8")
                s = R.dequantize(r, S2, Z2, axis=-1)
                out = q, s, c, d, e
                R.output(out)
            return out

    check(Before, Expected)


@pytest.mark.parametrize(
    ("op", "scale", "zero"), [("Softmax", 1 / 256, -128), ("Sigmoid", 1 / 256, -128), ("Tanh", 1 / 128, 0)]
)
def test_bytes_are_the_floats_rounded(op: str, scale: float, zero: int) -> None:
    graph = Graph()
    x = graph.quantize("x", 0.05, 3)
    model = graph.model([3, 5, 7], [graph.node("Transpose", graph.node(op, x), perm=[1, 0, 2])])
    floats, bytes_ = tvmopt.compile(model), tvmopt.compile(model, io="int8")
    ((y,), (x_spec,)) = bytes_.outputs, bytes_.inputs
    assert (y.dtype, y.scale, y.zero_point) == ("int8", scale, zero)
    values = np.random.default_rng(0).integers(-128, 128, x_spec.shape, np.int8)
    real = reference.dequantize(values, QParams.per_tensor(0.05, 3, "int8"))
    (expected,) = floats.run({"x": real}).values()
    (found,) = bytes_.run({"x": values}).values()
    expected = reference.quantize(expected, QParams.per_tensor(scale, zero, "int8"))
    assert np.ptp(expected.astype(int)) > 100
    assert np.array_equal(found, expected)


def softmaxes(model: Path | onnx.ModelProto, **options: str) -> list[str]:
    """The arithmetic of the model's int8 softmax regions."""
    mod = pipeline.run(tvmopt.load(model), **options).mod
    regions = [from_function(f) for f in mod.functions.values() if "Composite" in (f.attrs or {})]
    return [region.requantize for region in regions if isinstance(region, Softmax)]


def test_softmax_is_float_or_integer_as_the_target_wants() -> None:
    assert softmaxes(residual(), io="int8") == []
    assert softmaxes(residual(), io="int8", softmax="fixed") == ["fixed"]
    assert softmaxes(residual(), softmax="fixed") == []


def check_board(model: Path, target: str, draw: tuple[float, float]) -> None:
    """Bytes of a board are those of this machine, or one step from them where its softmax is integer."""
    here, board = tvmopt.compile(model, io="int8"), tvmopt.compile(model, target, io="int8")
    ((x,), (y,)) = board.inputs, board.outputs
    assert (y.dtype, y.scale, y.zero_point) == ("int8", 1 / 256, -128)
    assert x.scale is not None and x.zero_point is not None
    rng, seen = np.random.default_rng(0), []
    for _ in range(3):
        values = reference.quantize(
            rng.uniform(*draw, x.shape).astype("float32"), QParams.per_tensor(x.scale, x.zero_point, x.dtype)
        )
        (ours,), (theirs,) = board.run({x.name: values}).values(), here.run({x.name: values}).values()
        assert np.abs(ours.astype(int) - theirs).max() <= (target == "arm/cortex-m0plus")
        seen.append(ours)
    assert np.ptp(np.stack(seen).astype(int)) > 20


@pytest.mark.parametrize("target", ["arm/cortex-m4", "arm/cortex-m0plus"])
def test_keyword_spotting_gives_bytes_on_a_board(target: str, mlperf_tiny: dict[str, Path]) -> None:
    tools.need(*tools.BARE_METAL)
    check_board(mlperf_tiny["kws"], target, (-10, 10))

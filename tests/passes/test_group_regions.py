"""GroupRegions on small graphs: what becomes a region, what does not and why, and what things are called."""

import numpy as np
import pytest
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from tvmopt.passes.group_regions import FLOAT_REASONS, GroupRegions
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Conv, Dequantize, MatMul, Pool, Quantize, Softmax, Table
from tvmopt.quant.relax_form import from_function

from .qdq import Qdq, imported

S, Z = R.const(0.5, "float32"), R.const(3, "int8")
S2 = R.const(0.25, "float32")
W = R.const(np.arange(8, dtype=np.int8).reshape(4, 2))
X, Y = QParams.per_tensor(0.5, 3, "int8"), QParams.per_tensor(0.25, -7, "int8")
RNG = np.random.default_rng(0)


def regions(mod):
    """The regions that ``main`` applies, by the name of the variable that holds each result."""
    found = {}
    for binding in mod["main"].body.blocks[0].bindings:
        call = binding.value
        if isinstance(call, relax.Call) and isinstance(call.op, relax.GlobalVar):
            found[binding.var.name] = from_function(mod[call.op])
    return found


def ops(mod):
    """What ``main`` calls besides regions."""
    bindings = mod["main"].body.blocks[0].bindings
    calls = [b.value for b in bindings if isinstance(b.value, relax.Call)]
    return [call.op.name for call in calls if not isinstance(call.op, relax.GlobalVar)]


def test_a_region_keeps_the_name_of_its_value():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                w = R.dequantize(W, S, Z, axis=-1)
                b = R.matmul(a, w)
                c = R.nn.relu(b)
                hidden = R.quantize(c, S2, Z, axis=-1, out_dtype="int8")
                R.output(hidden)
            return hidden

    after = GroupRegions()(Before)
    (region,) = regions(after).values()
    assert list(regions(after)) == ["hidden"]
    assert [gv.name_hint for gv in after.get_global_vars()] == ["main", "matmul_hidden"]
    assert isinstance(region, MatMul)
    assert region.clamp == (3, 127)
    assert not ops(after)
    assert dict(after.get_attr(FLOAT_REASONS)) == {}
    relax.analysis.well_formed(after)


def test_names_of_onnx_values_make_names_of_functions():
    g = Qdq()
    x = g.input((1, 4), X)
    y = g.quantize(g.node("Relu", x, stem="block.0/relu:0"), Y)
    mod = GroupRegions()(imported(g.model(y)).mod)
    assert all(gv.name_hint.replace("_", "").isalnum() for gv in mod.get_global_vars())


def test_a_product_used_in_float_is_a_region_with_a_float_result():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                w = R.dequantize(W, S, Z, axis=-1)
                b = R.matmul(a, w)
                c = R.add(R.const(np.ones(2, np.float32)), b)
                out = R.nn.softmax(c, axis=-1)
                R.output(out)
            return out

    after = GroupRegions()(Before)
    found = regions(after)
    assert list(found) == ["c"]
    assert found["c"].y is None
    assert found["c"].bias.tolist() == [1, 1]
    assert found["c"].bias.dtype == np.float32
    assert ops(after) == ["relax.nn.softmax"]
    assert dict(after.get_attr(FLOAT_REASONS)) == {"out": "none of its inputs is quantized"}


def test_a_product_that_is_used_twice_is_computed_once():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                w = R.dequantize(W, S, Z, axis=-1)
                b = R.matmul(a, w)
                c = R.quantize(b, S, Z, axis=-1, out_dtype="int8")
                d = R.quantize(b, S2, Z, axis=-1, out_dtype="int8")
                out = c, d
                R.output(out)
            return out

    found = regions(GroupRegions()(Before))
    assert [type(region) for region in found.values()] == [MatMul, Quantize, Quantize]
    assert found["b"].y is None


def test_a_shared_dequantize_is_in_every_region_that_needs_it():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, Z, axis=-1)
                b = R.sigmoid(a)
                c = R.quantize(b, S2, Z, axis=-1, out_dtype="int8")
                d = R.tanh(a)
                e = R.quantize(d, S2, Z, axis=-1, out_dtype="int8")
                f = R.add(a, a)
                g = R.quantize(f, S2, Z, axis=-1, out_dtype="int8")
                out = c, e, g
                R.output(out)
            return out

    found = regions(GroupRegions()(Before))
    assert [type(region) for region in found.values()] == [Table, Table, Binary]
    assert found["c"].ops == ("sigmoid",)


def test_edges_and_islands():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "float32")):
            with R.dataflow():
                a = R.quantize(x, S, Z, axis=-1, out_dtype="int8")
                b = R.dequantize(a, S, Z, axis=-1)
                c = R.nn.softmax(b, axis=-1)
                d = R.quantize(c, S2, Z, axis=-1, out_dtype="int8")
                out = R.dequantize(d, S2, Z, axis=-1)
                R.output(out)
            return out

    after = GroupRegions()(Before)
    assert [type(region) for region in regions(after).values()] == [Quantize, Dequantize, Quantize, Dequantize]
    assert dict(after.get_attr(FLOAT_REASONS)) == {"c": "nn.softmax has no int8 form"}


@pytest.mark.parametrize(("size", "scale", "kinds"), [
    (1024, 1 / 256, [Softmax]),
    (1025, 1 / 256, [Dequantize, Quantize]),
    (1024, 2.0**-17, [Dequantize, Quantize]),
])  # fmt: skip
def test_softmax_in_fixed_point(size, scale, kinds):
    """Where its integer form is within a step of the float one."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, size), "int8"))
    with builder.function("main", [x]):
        with builder.dataflow():
            probabilities = builder.emit(relax.op.nn.softmax(builder.emit(R.dequantize(x, S, Z, axis=-1))))
            y = builder.emit_output(R.quantize(probabilities, R.const(scale, "float32"), Z, axis=-1, out_dtype="int8"))
        builder.emit_func_output(y)
    found = regions(GroupRegions("fixed")(builder.finalize()))
    assert [type(region) for region in found.values()] == kinds


def test_what_a_clamp_leaves_alone_is_no_op():
    z = R.const(-128, "int8")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 4), "int8")):
            with R.dataflow():
                a = R.dequantize(x, S, z, axis=-1)
                b = R.nn.relu(a)
                c = R.quantize(b, S, z, axis=-1, out_dtype="int8")
                d = R.max(R.dequantize(c, S, z, axis=-1), axis=[1])
                R.output(d)
            return d

    after = GroupRegions()(Before)
    assert [type(region) for region in regions(after).values()] == [Dequantize]


def test_max_pooling_of_quantized_values_is_a_region():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 6, 6), "uint8"), y: R.Tensor((1, 2, 6, 6), "float32")):
            with R.dataflow():
                a = R.nn.max_pool2d(x, (2, 2), (2, 2))
                b = R.max(x, axis=[2, 3], keepdims=True)
                c = R.max(x, axis=[1], keepdims=True)
                d = R.nn.max_pool2d(y, (2, 2), (2, 2))
                out = a, b, c, d
                R.output(out)
            return out

    after = GroupRegions()(Before)
    found = regions(after)
    assert {name: region.kernel for name, region in found.items()} == {"a": (2, 2), "b": (6, 6)}
    assert all(isinstance(region, Pool) and region.op == "max" for region in found.values())
    assert ops(after) == ["relax.max", "relax.nn.max_pool2d"]


def conv_model(weight=None, wp=None, x=X, y=Y, bias=None, shape=(1, 3, 8, 8), op="Conv", **attrs):
    g = Qdq()
    data = g.input(shape, x)
    weight = RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8) if weight is None else weight
    inputs = [data, g.weight(weight, wp or QParams.per_tensor(0.1, 0, "int8"))]
    if bias is not None:
        inputs.append(bias(g))
    return GroupRegions()(imported(g.model(g.quantize(g.node(op, *inputs, stem="conv", **attrs), y))).mod)


def reason_of_conv(mod):
    return next(reason for name, reason in mod.get_attr(FLOAT_REASONS).items())


def test_reasons_why_a_convolution_stays_float():
    per_input = QParams(np.float32([0.1, 0.2, 0.3]), np.zeros(3, np.int8), 1)
    assert "axis 1" in reason_of_conv(conv_model(wp=per_input))
    sixteen = QParams.per_tensor(0.1, 0, "int16")
    assert "int16" in reason_of_conv(conv_model(x=sixteen))
    volume = RNG.integers(-128, 128, (4, 3, 3, 3, 3)).astype(np.int8)
    assert "conv3d" in reason_of_conv(conv_model(volume, shape=(1, 3, 8, 8, 8)))


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("rank", [1, 2])
def test_convolutions(op, rank):
    channels = (4, 3) if op == "Conv" else (3, 4)
    weight = RNG.integers(-128, 128, (*channels, *(3,) * rank)).astype(np.int8)
    region = list(regions(conv_model(weight, shape=(1, 3, *(8,) * rank), op=op, strides=[2] * rank)).values())[-1]
    assert isinstance(region, Conv)
    assert region.transposed == (op == "ConvTranspose")
    assert np.array_equal(region.weight, weight)

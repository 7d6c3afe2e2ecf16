"""Names of variables, specs, and converters that fail."""

import numpy as np
import pytest
from tvm import relax

from tests.frontend.runs import compare, model, names
from tvmopt import frontend
from tvmopt.errors import UnsupportedError
from tvmopt.passes import pipeline


def renamed(proto, names):
    """``proto`` with other value names, which ONNX's text form cannot write."""
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = names.get(value.name, value.name)
    return proto


def quantized(op):
    """x -> a -> b -> the op: c -> d -> y."""
    return model(f"""g (float[2,3] x) => (float[2,3] y) <float s = {{0.05}}, uint8 z = {{3}}> {{
        a = QuantizeLinear(x, s, z)
        b = DequantizeLinear(a, s, z)
        c = {op}(b)
        d = QuantizeLinear(c, s, z)
        y = DequantizeLinear(d, s, z)
    }}""")


def test_variables_have_the_names_of_the_values():
    names_ = {
        "x": "in.put/x:0",
        "a": "model/q.1",
        "b": "model/d;x",
        "c": "relu.out:0",
        "d": "model/q.2",
        "y": "out.put",
    }
    loaded = compare(renamed(quantized("Relu"), names_))
    assert loaded.mod["main"].params[0].name == "in.put/x:0"
    assert names(loaded, "quantize") == ["model/q.1", "model/q.2"]
    assert names(loaded, "dequantize") == ["model/d;x", "out.put"]
    assert names(loaded, "nn.relu") == ["relu.out:0"]
    assert [spec.name for spec in (*loaded.inputs, *loaded.outputs)] == ["in.put/x:0", "out.put"]


@pytest.mark.parametrize("value", ["x", "a", "b", "c", "d", "y"])
def test_values_may_be_called_as_functions_are(value):
    loaded = compare(renamed(quantized("Sigmoid"), {value: "main"}))
    assert "main" in [var.name for var in relax.analysis.all_vars(loaded.mod["main"])]
    assert pipeline.run(loaded).mod["main"].params[0].name == ("main" if value == "x" else "x")


def test_outputs_of_one_node():
    loaded = compare(model("g (float[4,2] x) => (float[2,2] a, float[2,2] b) { p, b = Split<axis=0>(x) a = Neg(p) }"))
    assert [spec.name for spec in loaded.outputs] == ["a", "b"]
    bound = [binding.var.name for block in loaded.mod["main"].body.blocks for binding in block.bindings]
    assert {"p", "b", "a"} <= set(bound)


def test_output_that_is_an_input_or_comes_twice():
    compare(model("g (float[2] x, float[2] b) => (float[2] y, float[2] z) { y = Identity(x) z = Abs(b) }"))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_specs_of_quantized_inputs_and_outputs(dtype):
    body = f"""g ({dtype}[2,3] x) => ({dtype}[3,2] y) <float s = {{0.5}}, {dtype} z = {{3}}, float t = {{0.25}}> {{
        d = DequantizeLinear(x, s, z)
        r = Relu(d)
        q = QuantizeLinear(r, t, z)
        y = Transpose<perm=[1,0]>(q)
    }}"""
    loaded = compare(model(body))
    assert (loaded.inputs[0].scale, loaded.inputs[0].zero_point) == (0.5, 3)
    assert (loaded.outputs[0].scale, loaded.outputs[0].zero_point) == (0.25, 3)


def test_specs_of_other_tensors_have_no_scale():
    body = """g (float[2,3] x, uint8[2,3] b) => (uint8[2,3] y, uint8[2,3] z) <float s = {0.5}, float t = {0.25}> {
        y = QuantizeLinear(x, s)
        c = DequantizeLinear(b, s)
        d = DequantizeLinear(b, t)
        e = Add(c, d)
        f = Cast<to=2>(e)
        z = Max(f, b)
    }"""
    loaded = frontend.load(model(body))
    assert [spec.scale for spec in (*loaded.inputs, *loaded.outputs)] == [None, None, 0.5, None]


def test_what_a_converter_says_comes_with_the_node(capfd):
    body = "g (float[2,3] x, int64[1] k) => (float[2,K] v, int64[2,K] i) { v, i = TopK(x, k) }"
    with pytest.raises(UnsupportedError) as caught:
        frontend.load(model(body))
    assert str(caught.value) == (
        "<memory>: node 'TopK:v': TopK cannot be imported: TopK k must be a constant "
        "(it may be supported when 'k' is a constant: on the command line --constant k=VALUE, "
        "in Python constants={'k': VALUE})"
    )
    assert capfd.readouterr() == ("", "")


def test_attribute_that_the_converter_does_not_read():
    body = 'g (float[1,4,2,2] x) => (float[1,16,1,1] y) { y = SpaceToDepth<blocksize=2, mode="CRD">(x) }'
    with pytest.raises(UnsupportedError, match="SpaceToDepth:y': attribute 'mode' of SpaceToDepth is not supported"):
        frontend.load(model(body, opset=28))
    compare(model("g (float[1,4,2,2] x) => (float[1,16,1,1] y) { y = SpaceToDepth<blocksize=2>(x) }"))


def test_output_whose_shape_depends_on_the_data():
    with pytest.raises(UnsupportedError, match="the shape of the graph output 'y' depends on the data"):
        frontend.load(model("g (float[4] x) => (int64[1,n] y) { y = NonZero(x) }"))


def test_string_input():
    with pytest.raises(UnsupportedError, match="the graph input 'x' is STRING, not a tensor of numbers"):
        frontend.load(model("g (string[2] x) => (string[2] y) { y = Identity(x) }"))


def test_constant_of_eight_bytes_keeps_its_type():
    compare(model("g (int64[2] x) => (int64[2] y) { y = Add(x, k) }", {"k": np.int64([1 << 40, -1])}), lsb=0)

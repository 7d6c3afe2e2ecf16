"""Operators that do not exist, or not like this."""

import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from tvmopt import frontend
from tvmopt.errors import ModelError, TvmoptError, UnsupportedError
from tvmopt.frontend.contrib import DOMAIN, SIGNATURES


def refusal(op_type: str, inputs: str = "x", kind: type[TvmoptError] = ModelError, outputs: str = "y", **given) -> str:
    node = helper.make_node(op_type, [name.strip("-") for name in inputs.split()], outputs.split(), name="n", **given)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in "xy")
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 13), (DOMAIN, 1), ("my.own", 1))]
    with pytest.raises(kind) as caught:
        frontend.load(helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets))
    message = str(caught.value)
    assert message.startswith("<memory>: node 'n': ")
    return message.removeprefix("<memory>: node 'n': ")


def test_unknown_operator():
    assert refusal("Convv") == "there is no operator Convv in ai.onnx opset 13 (did you mean Conv?)"


def test_operator_of_another_opset():
    assert refusal("Upsample", "x x") == "operator Upsample no longer exists in ai.onnx opset 13"
    assert refusal("Gelu") == "there is no operator Gelu in ai.onnx opset 13 (another opset has it)"


def test_operator_of_an_unknown_domain():
    assert (
        refusal("Thing", domain="my.own", kind=UnsupportedError) == "operators of domain 'my.own' (Thing) are unknown"
    )


def test_operator_that_is_not_supported():
    assert refusal("Det", kind=UnsupportedError) == "operator Det is not supported"
    assert refusal("QAttention", domain=DOMAIN, kind=UnsupportedError).endswith("com.microsoft is not supported")


def test_attributes():
    assert refusal("Conv", "x x", dilation=[1, 1]) == "Conv has no attribute 'dilation' (did you mean dilations?)"
    assert refusal("Conv", "x x", group=1.5) == "attribute 'group' of Conv is FLOAT, it has to be INT"
    assert refusal("Cast") == "Cast needs the attribute 'to'"
    message = refusal("QLinearSoftmax", "x x x x x", domain=DOMAIN, axes=1)
    assert message == "QLinearSoftmax has no attribute 'axes' (did you mean axis?)"


def test_attribute_that_the_converter_does_not_know():
    # Valid ONNX; TVM's converter reads neither.
    message = refusal("DequantizeLinear", "x x x", kind=TvmoptError, axis=7)
    assert "x" in message
    assert refusal("RoiAlign", "x x x", kind=TvmoptError, mode="max")


def test_inputs():
    assert refusal("Conv", "x") == "Conv needs its input 1 (W), it is missing"
    assert refusal("Conv", "x -- x") == "Conv needs its input 1 (W), it is missing"
    assert refusal("Relu", "x x") == "Relu takes 1 inputs, 2 are given"
    assert refusal("QuantizeLinear", "x") == "QuantizeLinear needs its input 1 (y_scale), it is missing"
    message = refusal("QLinearAdd", "x x x x -- x x x", domain=DOMAIN)
    assert message == "QLinearAdd needs its input 4 (B_scale), it is missing"


def test_outputs():
    assert refusal("Relu", outputs="y z") == "Relu gives 1 to 1 outputs, 2 are named"


def test_contrib_signatures_are_those_of_onnxruntime():
    suffix = {"Single": "", "Optional": "?", "Variadic": "*"}
    schemas = {schema.name: schema for schema in ort.get_all_operator_schema() if schema.domain == DOMAIN}
    for name, signature in SIGNATURES.items():
        schema = schemas[name]
        inputs = [formal.name + suffix[str(formal.option).split(".")[-1]] for formal in schema.inputs]
        assert signature.inputs == tuple(inputs), name
        assert signature.attributes == set(schema.attributes), name


def test_every_contrib_operator_has_a_rule():
    from tvmopt.frontend.normalize import RULES

    assert {name for domain, name in RULES if domain == DOMAIN} == set(SIGNATURES)


def test_model_functions_are_inlined():
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13, "my.own": 1]>
        g (float[4] x) => (float[4] y) { y = my.own.Twice(x) }
        <domain: "my.own", opset_import: ["": 13]>
        Twice (a) => (b) { b = Add(a, a) }
    """)
    from tests.frontend.runs import compare

    compare(proto)

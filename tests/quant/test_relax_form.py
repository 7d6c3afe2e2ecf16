from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.relax.analysis import well_formed
from tvm.script import relax as R

from tvmopt.quant.params import QParams
from tvmopt.quant.reference import run
from tvmopt.quant.regions import Binary, Border, Conv, MatMul, Pool, Table
from tvmopt.quant.relax_form import Scope, Unfit, from_function, read, to_function

from .regions import regions, softmaxes


def types(arrays):
    return [relax.TensorType(array.shape, str(array.dtype)) for array in arrays]


def same(a, b):
    if isinstance(a, QParams):
        if a.scale.size == 1:  # one channel is the same as the whole tensor
            a = QParams(a.scale.reshape(()), a.zero_point.reshape(()))
        return isinstance(b, QParams) and a.same(b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Border):
        return isinstance(b, Border) and same(a.values, b.values) and same(a.index, b.index)
    return a == b


@given(case=regions | softmaxes(), mode=st.sampled_from(["float", "fixed"]))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(case, mode):
    region, inputs = replace(case[0], requantize=mode), case[1]
    function = to_function(region, types(inputs), "result")
    well_formed(function)
    assert function.attrs["Composite"] == f"tvmopt.{region.kind}"
    assert function.body.body.name == "result"
    back = from_function(function)
    assert type(back) is type(region)
    for field in fields(region):
        if field.name == "ops":  # a table that is written as a lookup is read as one
            continue
        assert same(getattr(region, field.name), getattr(back, field.name)), field.name
    expected = run(region, *inputs)
    assert tuple(int(d) for d in function.ret_ty.shape) == expected.shape
    assert str(function.ret_ty.dtype) == str(expected.dtype)


def q(scale, zero_point=0, dtype="int8"):
    return R.const(scale, "float32"), R.const(zero_point, dtype)


W = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
X = (0.5, 3, "int8")
Y = (0.25, -7, "int8")


def function(body, *inputs):
    """A function of the given (shape, dtype) inputs whose body ``body`` builds, normalized."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(shape, dtype)) for i, (shape, dtype) in enumerate(inputs)]
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(body(*params))
        builder.emit_func_output(result)
    return builder.finalize()["main"]


def dense(x, bias=None, swap=False):
    weight = R.dequantize(R.const(W), *q(0.125), axis=-1)
    value = R.matmul(R.dequantize(x, *q(*X), axis=-1), weight)
    if bias is None:
        return value
    return R.add(bias, value) if swap else R.add(value, bias)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    "bias",
    [
        lambda: R.dequantize(R.const(np.arange(6, dtype=np.int32)), *q(0.0625, 0, "int32"), axis=-1),
        lambda: R.dequantize(R.const(np.arange(6, dtype=np.int32)), *q(0.0626, 0, "int32"), axis=-1),
        lambda: R.const(np.arange(6, dtype=np.float32) * np.float32(0.0625)),
        lambda: R.const(np.arange(6, dtype=np.float32).reshape(1, 6) * np.float32(0.0625) + np.float32(0.03)),
    ],
)
def test_bias_in_every_form(bias, swap):
    f = function(lambda x: R.quantize(dense(x, bias(), swap), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8"))
    region = from_function(f)
    assert isinstance(region, MatMul)
    assert region.bias.tolist() == [0, 1, 2, 3, 4, 5]


def test_bias_of_another_scale_is_rounded_to_the_region_s():
    bias = R.dequantize(R.const(np.array([0, 1, 2, 3, 4, -5], np.int32)), *q(0.5, 0, "int32"), axis=-1)
    f = function(lambda x: R.quantize(dense(x, bias), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8"))
    assert from_function(f).bias.tolist() == [0, 8, 16, 24, 32, -40]


def test_scalar_bias_goes_to_every_channel():
    f = function(
        lambda x: R.quantize(dense(x, R.const(1.0, "float32")), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8")
    )
    assert from_function(f).bias.tolist() == [16] * 6


@pytest.mark.parametrize(
    ("clamp", "expected"),
    [
        (lambda v: R.nn.relu(v), (-7, 127)),
        (lambda v: R.clip(v, 0, 6), (-7, 17)),
        (lambda v: R.minimum(R.const(6.0, "float32"), R.maximum(v, R.const(-1.0, "float32"))), (-11, 17)),
        (lambda v: R.nn.relu(R.clip(v, -3, -2)), (-7, -7)),
        (lambda v: R.clip(R.nn.relu(v), -3, -2), (-15, -15)),
        (lambda v: v, (-128, 127)),
    ],
)
def test_clamps(clamp, expected):
    f = function(lambda x: R.quantize(clamp(dense(x)), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8"))
    assert from_function(f).clamp == expected


def test_table_of_a_decomposed_activation():
    def gelu(x):
        v = R.dequantize(x, *q(*X), axis=-1)
        half = R.multiply(v, R.const(0.5, "float32"))
        return R.multiply(half, R.add(R.const(1.0, "float32"), R.erf(R.divide(v, R.const(2**0.5, "float32")))))

    f = function(lambda x: R.quantize(gelu(x), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8"))
    direct = function(
        lambda x: R.quantize(R.nn.gelu(R.dequantize(x, *q(*X), axis=-1)), *q(*Y), axis=-1, out_dtype="int8"),
        ((2, 4), "int8"),
    )
    region = from_function(f)
    assert isinstance(region, Table)
    assert region.ops == ("multiply", "divide", "erf", "add", "multiply")
    assert np.array_equal(region.table, from_function(direct).table)


def test_the_same_tensor_twice_is_two_operands_of_an_addition():
    f = function(
        lambda x: R.quantize(
            R.add(R.dequantize(x, *q(*X), axis=-1), R.dequantize(x, *q(*X), axis=-1)), *q(*Y), axis=-1, out_dtype="int8"
        ),
        ((2, 4), "int8"),
    )
    match = read(f.body.body, Scope.of(f))
    assert isinstance(match.region, Binary)
    assert list(match.inputs) == [f.params[0]] * 2
    assert from_function(f) is None  # its parameters are not the region's


def test_global_pools():
    for body in (
        lambda v: R.mean(v, [2, 3], keepdims=True),
        lambda v: R.nn.adaptive_avg_pool2d(v, (1, 1)),
        lambda v: R.nn.avg_pool2d(v, (5, 6)),
    ):
        f = function(
            lambda x, body=body: R.quantize(body(R.dequantize(x, *q(*X), axis=-1)), *q(*Y), axis=-1, out_dtype="int8"),
            ((1, 3, 5, 6), "int8"),
        )
        region = from_function(f)
        assert isinstance(region, Pool)
        assert region.kernel == (5, 6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda x: R.nn.log_softmax(R.dequantize(x, *q(*X), axis=-1)), "nn.log_softmax has no int8 form"),
        (lambda x: R.clip(R.nn.softmax(R.dequantize(x, *q(*X), axis=-1)), 0, 0.5), "a clamp follows it"),
        (lambda x: R.add(R.dequantize(x, *q(*X), axis=-1), R.const(np.ones(4, np.float32))), "more than one element"),
        (
            lambda x: R.matmul(R.dequantize(x, *q(*X), axis=-1), R.const(np.ones((4, 3), np.float32))),
            "its weight is float",
        ),
        (
            lambda x: R.matmul(
                R.dequantize(x, *q(*X), axis=-1),
                R.dequantize(R.const(W), R.const(np.ones(4, np.float32)), R.const(np.zeros(4, np.int8)), axis=0),
            ),
            "per output column",
        ),
        (
            lambda x: R.nn.relu(
                R.dequantize(x, R.const(np.ones(4, np.float32)), R.const(np.zeros(4, np.int8)), axis=1)
            ),
            "per channel",
        ),
    ],
)
def test_what_is_no_region_says_why(body, reason):
    f = function(lambda x: R.quantize(body(x), *q(*Y), axis=-1, out_dtype="int8"), ((2, 4), "int8"))
    assert from_function(f) is None
    with pytest.raises(Unfit, match=reason):
        read(f.body.body, Scope.of(f))


def test_sixteen_bit_activations_are_no_region():
    f = function(lambda x: R.quantize(dense(x), *q(0.1, 0, "int16"), axis=-1, out_dtype="int16"), ((2, 4), "int8"))
    with pytest.raises(Unfit, match="int16"):
        read(f.body.body, Scope.of(f))


def test_depthwise_weight_per_output_channel_only():
    def body(x):
        weight = R.dequantize(
            R.const(np.ones((2, 3, 1, 1), np.int8)),
            R.const(np.ones(3, np.float32)),
            R.const(np.zeros(3, np.int8)),
            axis=1,
        )
        value = R.nn.conv2d(R.dequantize(x, *q(*X), axis=-1), weight)
        return R.quantize(value, *q(*Y), axis=-1, out_dtype="int8")

    f = function(body, ((1, 3, 4, 4), "int8"))
    with pytest.raises(Unfit, match="axis 1"):
        read(f.body.body, Scope.of(f))


def test_conv_without_bias_reads_zeros():
    def body(x):
        weight = R.dequantize(R.const(np.ones((2, 3, 1, 1), np.int8)), *q(0.5), axis=-1)
        return R.quantize(R.nn.conv2d(R.dequantize(x, *q(*X), axis=-1), weight), *q(*Y), axis=-1, out_dtype="int8")

    region = from_function(function(body, ((1, 3, 4, 4), "int8")))
    assert isinstance(region, Conv)
    assert region.bias.tolist() == [0, 0]

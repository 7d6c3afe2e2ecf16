from unittest import mock

import numpy as np
import onnx
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt import backends, frontend, lowering
from tvmopt import target as targets
from tvmopt.model import TensorSpec
from tvmopt.passes import borders, pipeline
from tvmopt.passes.fold_dead_channels import KEPT_CHANNELS, REMOVED_CHANNELS, FoldDeadChannels
from tvmopt.quant.cost import is_float
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Conv
from tvmopt.quant.relax_form import from_function

from .interpreter import run
from .networks import EXACT, networks
from .qdq import Qdq
from .taint import taint

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
WITH_WEIGHTS = ("conv", "conv", "depthwise", "depthwise", "gemm", "relu-conv", "relu-conv")
X = QParams.per_tensor(0.05, 3, "int8")
W = QParams.per_tensor(0.01, 5, "int8")
RNG = np.random.default_rng(0)


def bare(mod):
    return tvm.IRModule(mod.functions)


def grouped(model):
    return pipeline.run(frontend.load(model), sparsity=False).mod


@given(
    case=networks(kinds=(*WITH_WEIGHTS, *EXACT, "averagepool", "grouped", "transposed", "shuffle"), most=12, dead=True),
    free=st.booleans(),
)
@settings(relaxed, max_examples=500)
def test_folding_changes_no_bit(case, free):
    """free : borders take no bytes, so that none of the small networks has too many."""
    model, x = case
    before = grouped(model)
    with mock.patch.object(borders, "BYTES", 0 if free else borders.BYTES):
        after = FoldDeadChannels()(before)
    relax.analysis.well_formed(after)
    for ours, theirs in zip(run(after, x), run(before, x), strict=True):
        assert np.array_equal(ours, theirs)


@given(case=networks(kinds=(*WITH_WEIGHTS, *EXACT, "averagepool", "grouped", "shuffle"), most=8, dead=True))
@settings(relaxed, max_examples=150)
def test_what_is_left_is_needed_or_has_a_reason(case):
    """Brute force: follow the input, and every single channel, through the zeros of the weights to the results."""
    mod = FoldDeadChannels()(grouped(case[0]))
    reasons = dict(mod.get_attr(KEPT_CHANNELS))
    (param,) = mod["main"].params
    depends = taint(mod, {param: np.ones(case[1].shape, np.uint8)})
    for var, elements in depends.items():
        if isinstance(elements, list) or elements.ndim < 2 or var.name in reasons or is_float(var.ty):
            continue
        others = tuple(axis for axis in range(elements.ndim) if axis != 1)
        assert elements.any(axis=others).all(), f"{var.name} has constant channels"
        for channel in range(elements.shape[1]):
            seed = np.zeros_like(elements)
            seed[:, channel] = 1
            results = taint(mod, {var: seed})[mod["main"].body.body]
            read = any(result.any() for result in (results if isinstance(results, list) else [results]))
            assert read, f"nothing reads channel {channel} of {var.name}"


def test_folding_twice_is_folding_once(mlperf_tiny):
    once = FoldDeadChannels()(grouped(mlperf_tiny["vww"]))
    tvm.ir.assert_structural_equal(bare(FoldDeadChannels()(once)), bare(once))


@pytest.mark.parametrize("name", ["kws", "ic"])
def test_a_dense_model_stays_as_it_is(mlperf_tiny, name):
    before = grouped(mlperf_tiny[name])
    tvm.ir.assert_structural_equal(bare(FoldDeadChannels()(before)), bare(before))


def test_vww_halves(mlperf_tiny):
    model = pipeline.run(frontend.load(mlperf_tiny["vww"]))
    record = model.history[-1]
    assert record.name == "FoldDeadChannels"
    assert record.before["macs"] == 7_489_664
    assert record.after["macs"] == 3_730_157
    assert record.before["weight_bytes"] == 219_064
    assert record.after["weight_bytes"] == 33_247
    assert record.after["dead_channels"] == 0
    assert dict(model.mod.get_attr(KEPT_CHANNELS)) == {}


def test_vww_keeps_every_surviving_value(mlperf_tiny, shared):
    """Of every tensor that the compiled model computes, on all images."""
    dense = pipeline.run(frontend.load(mlperf_tiny["vww"]), sparsity=False)
    folded = dense.replace(mod=FoldDeadChannels()(dense.mod))
    images = np.load(shared / "data" / "vww_400.npz")["images"]
    old, new = (every_tensor(model, images / np.float32(255)) for model in (dense, folded))
    assert len(images) == 400
    assert set(new) == set(old)
    for name, value in new.items():
        assert is_part(value, old[name]), name


def every_tensor(model, inputs):
    """By name, every tensor that bindings of ``main`` compute, for a model of one input compiled for this machine."""
    mod = relax.transform.ToNonDataflow()(model.mod)
    main = mod["main"]
    found = [binding.var for block in main.body.blocks for binding in block.bindings]
    results = relax.TupleType([var.ty for var in found])
    body = relax.SeqExpr(main.body.blocks, relax.Tuple(found))
    mod.update_func(mod.get_global_var("main"), relax.Function(main.params, body, results, attrs=main.attrs))
    specs = [TensorSpec(var.name, tuple(int(d) for d in var.ty.shape), str(var.ty.dtype)) for var in found]
    host = targets.get("host")
    artifact = backends.build(lowering.lower(model.replace(mod=mod, outputs=tuple(specs)), host), host)
    results = [artifact.run({model.inputs[0].name: x[None]}) for x in inputs]
    return {spec.name: np.concatenate([result[spec.name] for result in results]) for spec in specs}


def is_part(part, whole):
    """Whether part is whole without some channels, in order."""
    if part.shape == whole.shape:
        return np.array_equal(part, whole)
    axis = next(i for i, (a, b) in enumerate(zip(part.shape, whole.shape, strict=True)) if a != b)
    channels = iter(np.moveaxis(whole, axis, 0))
    return all(any(np.array_equal(mine, other) for other in channels) for mine in np.moveaxis(part, axis, 0))


def weight(shape, dead=(), axis=0):
    array = RNG.integers(-128, 128, shape).astype(np.int8)
    np.moveaxis(array, axis, 0)[list(dead)] = int(W.zero_point)
    return array


def y(scale, zero_point=-20):
    return QParams.per_tensor(scale, zero_point, "int8")


def shapes(mod):
    found = [binding.var for binding in mod["main"].body.blocks[0].bindings]
    return {var.name: tuple(int(d) for d in var.ty.shape) for var in found if isinstance(var.ty, relax.TensorType)}


def check(g, *outputs, removed):
    """Fold; the tensors of the quantized values named in ``removed`` lose so many channels, and no result changes."""
    before = grouped(g.model(*outputs))
    after = FoldDeadChannels()(before)
    old, new = shapes(before), shapes(after)
    lost = {name: int(np.sum(np.subtract(old[name], new[name]))) for name in new if old[name] != new[name]}
    assert lost == removed
    counted = dict(after.get_attr(REMOVED_CHANNELS))
    assert {name: count for name, count in counted.items() if name in new} == removed
    for seed in range(3):
        x = (
            np.random.default_rng(seed)
            .normal(0, 5, [int(d) for d in before["main"].params[0].ty.shape])
            .astype(np.float32)
        )
        for ours, theirs in zip(run(after, x), run(before, x), strict=True):
            assert np.array_equal(ours, theirs)
    return after


def pair(bias, pads, dead=(1, 4), final_pads=(0, 0, 0, 0), kernel=3):
    """conv with dead outputs -> padded conv."""
    g = Qdq()
    x = g.input((1, 3, 6, 6), X)
    mid = y(0.3)
    first = g.node("Conv", x, g.weight(weight((6, 3, 1, 1), dead), W), g.bias(np.full(6, bias, np.int32), X, W))
    q = g.quantize(first, mid)
    second = g.node("Conv", g.dequantize(q, mid), g.weight(weight((2, 6, kernel, kernel)), W), pads=list(pads))
    return g, q, g.fake(second, y(9.0))


@pytest.mark.parametrize("bias", [-70000, -3, 0, 5, 70000])
def test_constants_fold_into_the_bias_where_nothing_is_padded(bias):
    g, q, out = pair(bias, (0, 0, 0, 0))
    check(g, out, removed={q: 2})


def test_constants_stay_where_a_border_costs_more_than_their_weights():
    g, q, out = pair(70000, (1, 0, 0, 0), kernel=1)
    after = check(g, out, removed={})
    assert "a border would take more bytes" in after.get_attr(KEPT_CHANNELS)[q]


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (1, 0, 0, 0), (0, 0, 2, 1)])
def test_constants_become_a_border_where_one_is_padded_with_another_value(pads):
    g, q, out = pair(70000, pads, dead=range(1, 6))
    after = check(g, out, removed={q: 5})
    (border,) = borders_of(after)
    assert border.values.shape[1:] == tuple(1 + pads[i] + pads[i + 2] for i in range(2))


def test_an_accelerator_sees_no_border():
    g, q, out = pair(70000, (1, 1, 1, 1), dead=range(1, 6))
    after = FoldDeadChannels(borders=False)(grouped(g.model(out)))
    assert borders_of(after) == []
    assert "the target's kernels have no borders" in after.get_attr(KEPT_CHANNELS)[q]


@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [2, 1]])
def test_constants_go_through_a_padded_depthwise_convolution(strides):
    """As in MobileNet: outputs of a 1x1 convolution are dead, and what comes of them differs along the border."""
    g = Qdq()
    x, dead = g.input((1, 3, 9, 8), X), range(3, 64)
    bias = RNG.integers(-9000, 9000, 64).astype(np.int32)
    a = g.quantize(g.node("Conv", x, g.weight(weight((64, 3, 1, 1), dead), W), g.bias(bias, X, W)), y(0.3))
    middle = g.node(
        "Conv", g.dequantize(a, y(0.3)), g.weight(weight((64, 1, 3, 3)), W), group=64, pads=[1] * 4, strides=strides
    )
    b = g.quantize(middle, y(1.0))
    out = g.fake(g.node("Conv", g.dequantize(b, y(1.0)), g.weight(weight((5, 64, 1, 1)), W)), y(9.0))
    after = check(g, out, removed={a: 61, b: 61})
    assert len(borders_of(after)) == 1


def borders_of(mod):
    """Of the convolutions that have one, which the Relax form keeps."""
    regions = [from_function(mod[gv]) for gv in mod.get_global_vars() if gv.name_hint != "main"]
    return [region.border for region in regions if isinstance(region, Conv) and region.border is not None]


def test_constants_that_are_what_a_border_is_padded_with_go():
    g, q, out = pair(0, (1, 1, 1, 1))
    check(g, out, removed={q: 2})


def test_columns_of_a_product_of_rows_go():
    g = Qdq()
    x = g.input((1, 5, 8), X)  # channels, were it an image, on another axis than the products sum over
    q = g.quantize(g.node("MatMul", x, g.weight(weight((8, 6), range(2), axis=1), W)), y(0.3))
    out = g.node("MatMul", g.dequantize(q, y(0.3)), g.weight(weight((6, 4)), W))
    check(g, g.fake(out, y(9.0)), removed={q: 2})


@pytest.mark.parametrize("swap", [False, True])
def test_a_residual_of_rows_keeps_columns_that_the_other_side_has(swap):
    g = Qdq()
    x = g.input((1, 5, 6), X)  # its channels are on axis 1, those of the product on axis 2
    q = g.quantize(g.node("MatMul", x, g.weight(weight((6, 6), range(2), axis=1), W)), y(0.3))
    sides = [x, g.dequantize(q, y(0.3))]
    added = g.fake(g.node("Add", *(sides[::-1] if swap else sides)), y(0.6))
    out = g.node("MatMul", added, g.weight(weight((6, 4), (0, 1)), W))
    check(g, g.fake(out, y(9.0)), removed={})


def test_a_tensor_keeps_one_channel():
    g, q, out = pair(5, (0, 0, 0, 0), dead=range(6))
    check(g, out, removed={q: 5})


def test_channels_that_nothing_reads_go_and_what_computes_them():
    g = Qdq()
    x = g.input((1, 3, 6, 6), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 3, 3)), W)), y(1.0))
    b = g.quantize(g.node("Conv", g.dequantize(a, y(1.0)), g.weight(weight((6, 1, 3, 3)), W), group=6), y(1.0))
    out = g.node("Conv", g.dequantize(b, y(1.0)), g.weight(weight((2, 6, 1, 1), (0, 3), axis=1), W))
    check(g, g.fake(out, y(9.0)), removed={a: 2, b: 2})


def test_a_residual_channel_goes_where_both_sides_are_constant():
    g = Qdq()
    x = g.input((1, 3, 6, 6), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (1, 2)), W)), y(1.0))
    b = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (2, 3)), W)), y(1.0))
    c = g.quantize(g.node("Add", g.dequantize(a, y(1.0)), g.dequantize(b, y(1.0))), y(2.0))
    out = g.node("Conv", g.dequantize(c, y(2.0)), g.weight(weight((2, 6, 1, 1)), W))
    check(g, g.fake(out, y(9.0)), removed={a: 1, b: 1, c: 1})


@pytest.mark.parametrize("swap", [False, True])
def test_a_dead_branch_goes(swap):
    g = Qdq()
    x = g.input((1, 3, 6, 6), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1)), W)), y(1.0))
    b = g.quantize(
        g.node("Conv", x, g.weight(weight((6, 3, 1, 1), range(6)), W), g.bias(np.arange(6, dtype=np.int32), X, W)),
        y(1.0),
    )
    sides = [g.dequantize(a, y(1.0)), g.dequantize(b, y(1.0))]
    c = g.fake(g.node("Add", *(sides[::-1] if swap else sides)), y(2.0))
    after = check(g, c, removed={})
    regions = [from_function(after[gv]) for gv in after.get_global_vars() if gv.name_hint != "main"]
    (add,) = [region for region in regions if isinstance(region, Binary)]
    assert add.constant.shape == (1, 6, 1, 1)
    assert b not in shapes(after)


def test_flattening_takes_channels_along():
    g = Qdq()
    x = g.input((1, 3, 4, 4), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (0, 5)), W)), y(1.0))
    nhwc = g.node("Transpose", g.dequantize(a, y(1.0)), perm=[0, 2, 3, 1])
    flat = g.node("Flatten", nhwc)
    out = g.fake(g.node("Gemm", flat, g.weight(weight((2, 96)), W), transB=1), y(9.0))
    after = check(g, out, removed={a: 2, nhwc: 2, flat: 32})
    assert (1, 64) in shapes(after).values()


def test_splitting_and_joining():
    g = Qdq()
    x = g.input((1, 3, 4, 4), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (0, 2, 5)), W)), y(1.0))
    first = g.node("Split", g.dequantize(a, y(1.0)), g.constant(np.array([3, 3])), outputs=2, axis=1)
    joined = g.node("Concat", first[:-1] + "1", first, axis=1)
    out = g.fake(g.node("Conv", joined, g.weight(weight((2, 6, 1, 1)), W)), y(9.0))
    check(g, out, removed={a: 3, first: 2, first[:-1] + "1": 1, joined: 3})


def test_results_of_the_model_keep_all_channels():
    g = Qdq()
    x = g.input((1, 3, 4, 4), X)
    out = g.fake(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (0, 2)), W)), y(1.0))
    after = check(g, out, removed={})
    assert list(after.get_attr(KEPT_CHANNELS).values()) == [f"'{out}' has them too: it is a result of the model"]


def test_channels_stay_for_those_that_they_are_added_to():
    g = Qdq()
    x = g.input((1, 3, 4, 4), X)
    a, b = (g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1), (dead,)), W)), y(1.0)) for dead in (1, 4))
    added = g.quantize(g.node("Add", g.dequantize(a, y(1.0)), g.dequantize(b, y(1.0))), y(2.0))
    last = g.weight(weight((2, 6, 1, 1)), W)
    out = g.fake(g.node("Conv", g.dequantize(added, y(2.0)), last), y(9.0))
    after = check(g, out, removed={})
    reasons = {name: str(why) for name, why in after.get_attr(KEPT_CHANNELS).items()}
    assert reasons == {
        a: f"'{added}' needs those of '{b}' beside them",
        b: f"'{added}' needs those of '{a}' beside them",
    }


def test_channels_that_nothing_reads_stay_where_another_reader_needs_them():
    g = Qdq()
    x = g.input((1, 3, 4, 4), X)
    a = g.quantize(g.node("Conv", x, g.weight(weight((6, 3, 1, 1)), W)), y(1.0))
    pooled = g.quantize(g.node("MaxPool", g.dequantize(a, y(1.0)), kernel_shape=[2, 2]), y(1.0))
    blind = np.where(np.arange(6)[:, None, None] == 2, 0, weight((2, 6, 1, 1)) - 5)
    outs = [
        g.fake(g.node("Conv", g.dequantize(pooled, y(1.0)), g.weight((blind + 5).astype(np.int8), W)), y(9.0)),
        g.fake(g.node("Conv", g.dequantize(a, y(1.0)), g.weight(weight((2, 6, 1, 1)), W)), y(9.0)),
    ]
    after = check(g, *outs, removed={})
    assert after.get_attr(KEPT_CHANNELS)[pooled] == f"'{a}' has them too, and they are needed there"


def test_history_is_in_the_numbers_of_onnx(mlperf_tiny):
    model = onnx.load(mlperf_tiny["vww"])
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    eight_bit = sum(w.size for w in weights.values() if w.dtype == np.int8 and w.ndim > 1)
    assert pipeline.run(frontend.load(model)).history[-1].before["weights"] == eight_bit

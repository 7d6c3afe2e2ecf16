import itertools

import numpy as np
import onnx
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from tvm import relax

from tvmopt import frontend
from tvmopt.errors import InternalError
from tvmopt.passes import pipeline

from .interpreter import run
from .networks import networks
from .qdq import onnxruntime_run

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def differences(model, x):
    grouped = pipeline.run(frontend.load(model), sparsity=False)
    relax.analysis.well_formed(grouped.mod)
    assert grouped.float_reasons == {}
    ours, theirs = run(grouped.mod, x), onnxruntime_run(model, x)
    return [np.abs(a - b).max() / step(model, i) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]


def step(model, index):
    """The scale of an output, which a DequantizeLinear computes."""
    name = model.graph.output[index].name
    node = next(node for node in model.graph.node if name in node.output)
    scale = next(c for c in model.graph.initializer if c.name == node.input[1])
    return float(onnx.numpy_helper.to_array(scale))


@given(case=networks())
@settings(relaxed, max_examples=100)
def test_grouped_networks_give_onnxruntime_s_result_bit_for_bit(case):
    assert all(d == 0 for d in differences(*case))


@given(case=networks(kinds=("averagepool",), most=1))
@settings(relaxed, max_examples=20)
def test_average_pools_within_one_step(case):
    assert all(d < 1.01 for d in differences(*case))


REGIONS = {
    "kws": {"conv": 9, "pool": 1, "matmul": 1, "quantize": 1, "dequantize": 1},
    "ic": {"conv": 9, "binary": 3, "pool": 1, "matmul": 1, "quantize": 1, "dequantize": 1},
    "vww": {"conv": 27, "pool": 1, "matmul": 1, "quantize": 1, "dequantize": 1},
    "ad": {"matmul": 10, "quantize": 1, "dequantize": 1},
}
MACS = {"kws": 2656768, "ic": 12501632, "vww": 7489664, "ad": 264192}


@pytest.mark.parametrize("name", REGIONS)
def test_official_models_are_int8_but_for_softmax(mlperf_tiny, name):
    grouped = pipeline.run(frontend.load(mlperf_tiny[name]), sparsity=False)
    after = grouped.history[-1].after
    assert {kind: after[kind] for kind in REGIONS[name]} == REGIONS[name]
    assert after["regions"] == sum(REGIONS[name].values())
    assert after["macs"] == MACS[name]
    assert list(grouped.float_reasons.values()) == [] if name == "ad" else ["its result is not quantized"]


@pytest.mark.parametrize("name", REGIONS)
def test_official_models_give_onnxruntime_s_result(mlperf_tiny, name):
    """Up to the softmax, which runs in float on both sides."""
    model = onnx.load(mlperf_tiny[name])
    if model.graph.node[-1].op_type == "Softmax":
        model.graph.output[0].name = model.graph.node.pop().input[0]
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    scale = {"kws": 80, "ic": 255, "vww": 1, "ad": 10}[name]
    x = np.random.default_rng(1).uniform(-scale if name in ("kws", "ad") else 0, scale, shape).astype(np.float32)
    grouped = pipeline.run(frontend.load(model), sparsity=False)
    (ours,), (theirs,) = run(grouped.mod, x), onnxruntime_run(model, x)
    assert np.array_equal(ours, theirs)


def test_the_registered_pipeline_is_the_same(mlperf_tiny):
    model = frontend.load(mlperf_tiny["ad"])
    tvm.ir.assert_structural_equal(relax.get_pipeline("tvmopt")(model.mod), pipeline.run(model).mod)


def test_history_has_every_pass_that_changed_something(mlperf_tiny):
    grouped = pipeline.run(frontend.load(mlperf_tiny["kws"]), sparsity=False)
    names = [record.name for record in grouped.history]
    assert names == ["HoistQuantize", "SinkDequantize", "GroupRegions"]
    assert all(a.after == b.before for a, b in itertools.pairwise(grouped.history))


def test_a_failing_pass_is_named_with_those_before_it(mlperf_tiny, monkeypatch):
    @tvm.transform.module_pass(opt_level=0, name="tvmopt.Broken")
    def broken(mod, _):
        raise ValueError("no such thing")

    real = pipeline.passes
    monkeypatch.setattr(pipeline, "passes", lambda *args: [*real(*args)[:2], broken])
    said = r"running pass Broken .already run: Canonicalize, HoistQuantize.: ValueError: no such thing"
    with pytest.raises(InternalError, match=said):
        pipeline.run(frontend.load(mlperf_tiny["ad"]))


def test_control_flow_is_left_alone():
    from tvm.script import relax as R

    @R.function
    def main(x: R.Tensor((2,), "float32"), c: R.Tensor((), "bool")) -> R.Tensor((2,), "float32"):
        if c:  # noqa: SIM108
            y = R.add(x, x)
        else:
            y = R.multiply(x, x)
        return y

    mod = tvm.IRModule({"main": main})
    tvm.ir.assert_structural_equal(relax.get_pipeline("tvmopt")(mod)["main"], mod["main"])

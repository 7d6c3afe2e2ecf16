"""TOSA graphs, run by the reference model: the integer reference's results, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.lowering import test_elementwise, test_pool
from tests.lowering.graphs import Graph
from tests.lowering.strategies import activation_matmuls, depthwise_convolutions, matmuls, tensor
from tests.passes.networks import EXACT, networks
from tests.quant.regions import regions, softmaxes
from tvmopt import frontend
from tvmopt.passes import pipeline
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import ArgMax, Conv, Pool, Table

from .harness import check, convolutions, one, partitioned

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
kinds = st.one_of(
    convolutions,
    depthwise_convolutions(),
    matmuls(),
    activation_matmuls(),
    test_elementwise.regions(),
    test_pool.regions(),
    regions,
    softmaxes(),
)


@given(case=kinds)
@settings(relaxed, max_examples=150)
def test_random_regions(case) -> None:
    region, inputs = case
    assume(isinstance(region, ArgMax) or getattr(region, "y", None) is not None)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    model = partitioned(one(replace(region, requantize="fixed"), *inputs))
    assume(not model.host_reasons)
    assert check(model) == 1


@given(case=networks(kinds=(*EXACT, "averagepool")))
@settings(relaxed, max_examples=60)
def test_random_networks(case) -> None:
    model, _ = case
    split = partitioned(pipeline.run(frontend.load(model), requantize="fixed"))
    check(split)


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_official_models(mlperf_tiny, name: str) -> None:
    """All their multiply-accumulates are the NPU's, in one subgraph."""
    split = partitioned(pipeline.run(frontend.load(mlperf_tiny[name]), requantize="fixed"))
    record = split.history[-1].after
    assert record["accelerated_macs"] == record["macs"] > 0
    assert check(split) == 1


P = QParams.per_tensor(0.5, 3, "int8")


def convolution(**changes) -> Conv:
    w = QParams(np.full(4, 0.02, np.float32), np.zeros(4, np.int8), axis=0)
    y = QParams.per_tensor(0.9, 3, "int8")
    region = Conv(
        P, w, tensor((4, 4, 3, 3), "int8"), np.zeros(4, np.int32), y, y.range,
        strides=(1, 1), padding=(1, 1, 1, 1), dilations=(1, 1), requantize="fixed",
    )  # fmt: skip
    return replace(region, **changes)


@pytest.mark.parametrize(
    ("region", "x", "reason"),
    [
        (convolution(requantize="float"), (1, 4, 6, 6), "its arithmetic is float, an NPU's is fixed point"),
        (convolution(strides=(4, 4)), (1, 4, 6, 6), "its stride is 4, at most 3 is supported"),
        (
            convolution(transposed=True, w=P, strides=(2, 1), output_padding=(0, 0)),
            (1, 4, 6, 6),
            "its strides are 2 and 1, only the same along both axes are supported",
        ),
        (convolution(bias=np.full(4, 2**31 - 1, np.int32)), (1, 4, 6, 6), "its sums may not fit 32 bits"),
        (ArgMax(P, 1, True), (1, 128, 6, 6), "it compares 128 elements, at most 127 are supported"),
        (
            Pool("average", P, P, (9, 9), (1, 1), (4, 4, 4, 4), (1, 1), requantize="fixed"),
            (1, 4, 12, 12),
            "its kernel is 9 wide and reaches into padding, at most 8 may",
        ),
        (
            Pool("average", P, replace(P, scale=np.float32(0.3)), (3, 3), (1, 1), (1,) * 4, (1, 1), requantize="fixed"),
            (1, 4, 6, 6),
            "its windows average different numbers of elements, to another scale",
        ),
    ],
)
def test_what_an_ethos_u55_does_not_take_has_a_reason(region, x: tuple[int, ...], reason: str) -> None:
    model = partitioned(one(region, tensor(x, "int8")), "edge/ethos-u55-128")
    assert list(model.host_reasons.values()) == [reason]


@pytest.mark.parametrize("factor", [2, 3])
def test_resizing(factor: int) -> None:
    """By three on an Ethos-U85 only."""
    x = tensor((1, 3, 4, 5), "int8")
    graph = Graph(x=x)
    a = graph.region(Table(P, P, np.arange(-128, 128).astype(np.int8)[::-1]), *graph.params)
    size = (4 * factor, 5 * factor)
    mode = {"method": "nearest_neighbor", "coordinate_transformation_mode": "asymmetric", "rounding_method": "floor"}
    large = graph.op(relax.op.image.resize2d(a, size, layout="NCHW", **mode), np.zeros((1, 3, *size), np.int8))
    model, _ = graph.model(graph.region(convolution(weight=tensor((4, 3, 3, 3), "int8")), large))
    assert check(partitioned(model)) == 1
    assert check(partitioned(model, "edge/ethos-u55-128")) == (1 if factor == 2 else 2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("groups", "channels", "outputs"), [(2, 4, 6), (3, 9, 3), (4, 8, 8)])
@pytest.mark.parametrize("size", [(7,), (5, 7)])
def test_convolutions_of_several_groups(transposed: bool, groups: int, channels: int, outputs: int, size) -> None:
    """Each group has weights, biases and, unless transposed, scales of its own."""
    rank = len(size)
    kernel = (3,) * rank
    scale = 0.01 if transposed else np.linspace(0.01, 0.03, outputs)
    w = QParams(np.float32(scale), np.zeros(np.shape(scale), np.int8), None if transposed else 0)
    shape = (channels, outputs // groups, *kernel) if transposed else (outputs, channels // groups, *kernel)
    region = convolution(
        w=w, weight=tensor(shape, "int8"), bias=np.arange(-outputs, outputs, 2).astype(np.int32) * 99, groups=groups,
        strides=(2,) * rank, padding=(1,) * 2 * rank, dilations=(1,) * rank, transposed=transposed,
        output_padding=(1,) * rank if transposed else (),
    )  # fmt: skip
    model = partitioned(one(region, tensor((2, channels, *size), "int8")), "edge/ethos-u55-128")
    assert not model.host_reasons
    assert check(model) == 1

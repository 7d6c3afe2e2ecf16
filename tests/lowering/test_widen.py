"""Channels that are added hold nothing: results are the same, and vectors are whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt import target as targets
from tvmopt.lowering import lower
from tvmopt.lowering.packing import Packing
from tvmopt.lowering.widen import widened, widths
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv
from tvmopt.quant.relax_form import from_function
from tvmopt.quant.slicing import is_depthwise

from .graphs import Graph, conv, run
from .harness import RUNNABLE
from .strategies import convolutions, depthwise_convolutions, tensor

VNNI = Packing(16, 4, "uint8", "int8")
P = QParams.per_tensor(0.9, 3, "uint8")


@given(case=convolutions() | depthwise_convolutions(), more=st.tuples(st.integers(0, 9), st.integers(0, 9)))
@settings(max_examples=60, deadline=None)
def test_what_is_added_changes_nothing(case, more):
    region, x = case
    if region.transposed or (region.groups > 1 and not is_depthwise(region)):
        assert widened(region, x.shape[1], region.bias.size) is region
        return
    outputs, inputs = region.bias.size + more[0], x.shape[1] + more[0 if is_depthwise(region) else 1]
    wider = widened(region, inputs, outputs)
    added = tensor((x.shape[0], inputs - x.shape[1], *x.shape[2:]), x.dtype.name)  # whatever it is
    got = reference.run(wider, np.concatenate([x, added], 1))
    np.testing.assert_array_equal(got[:, : region.bias.size], reference.run(region, x))


def depthwise(channels: int) -> Conv:
    weight = tensor((channels, 1, 3, 3), "int8", channels)
    w = QParams(np.full(channels, 0.02, np.float32), np.full(channels, 5, np.int8), axis=0)
    return Conv(P, w, weight, np.arange(channels, dtype=np.int32), P, P.range, (1, 1), (1,) * 4, (1, 1), channels)


def found(graph: Graph, *outputs: relax.Var, form: Packing = VNNI) -> list[int]:
    mod = graph.model(*outputs)[0].mod
    regions = {gv: from_function(f) for gv, f in mod.functions.items() if "Composite" in (f.attrs or {})}
    return list(widths(mod["main"], regions, form).values())


def chain() -> tuple[Graph, list[relax.Var]]:
    """conv -> 57 -> depthwise -> 57 -> conv -> 30 -> conv -> 8 -> conv -> 19."""
    graph = Graph(x=tensor((1, 16, 6, 6), "uint8"))
    tensors = [graph.region(conv(P, 16, 57), *graph.params)]
    for region in (depthwise(57), conv(P, 57, 30, 1), conv(P, 30, 8), conv(P, 8, 19)):
        tensors.append(graph.region(region, tensors[-1]))
    return graph, tensors


def test_tensors_between_convolutions_are_widened():
    graph, tensors = chain()
    assert found(graph, tensors[-1]) == [64, 64, 32]


def test_a_tensor_that_something_else_reads_stays():
    graph, tensors = chain()
    assert found(graph, tensors[-1], tensors[1]) == [32]  # nor does the depthwise convolution's input change


@pytest.mark.parametrize(("name", "widened"), [("arm/cortex-a72", 57), ("cuda/sm_80", 57), ("arm/cortex-a76", 64)])
def test_targets_whose_channels_are_whole_vectors(name, widened):
    graph, tensors = chain()
    model, _ = graph.model(tensors[-1])
    assert f"R.Tensor((1, 6, 6, {widened})" in lower(model, targets.get(name)).mod.script()


def test_a_target_without_shapes_of_its_own_stays():
    graph, tensors = chain()
    assert found(graph, tensors[-1], form=Packing(16, 1, "uint8", "int8")) == []


@pytest.mark.parametrize("target", RUNNABLE)
def test_chain(target):
    graph, tensors = chain()
    run(graph, tensors[-1], target=targets.get(target))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_and_those_of_several_groups_stay(transposed, groups):
    """Between convolutions that are widened; they have other channels before them than behind."""
    graph = Graph(x=tensor((1, 16, 6, 6), "uint8"))
    a = graph.region(conv(P, 16, 40), *graph.params)
    shape = (40, 24 // groups, 3, 3) if transposed else (24, 40 // groups, 3, 3)
    extra = (0, 0) if transposed else ()
    w, geometry = QParams.per_tensor(0.02, 0, "int8"), ((1, 1), (1,) * 4, (1, 1), groups, transposed, extra)
    b = graph.region(Conv(P, w, tensor(shape, "int8"), np.zeros(24, np.int32), P, P.range, *geometry), a)
    run(graph, graph.region(conv(P, 24, 19), b))

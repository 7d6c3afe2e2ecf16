"""Models opened up at their quantized tensors."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tvmopt.peers.onnxruntime import Session
from tvmopt.report import graph, probe

from .models import Graph, residual


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return ir.from_proto(residual())


@pytest.fixture(scope="module")
def taps(model: ir.Model) -> list[probe.Tap]:
    return probe.taps(model, Session(probe.all_tapped(model), optimize=False).output_types)


def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).uniform(-2.6, 2.5, (1, 3, 6, 6)).astype(np.float32)}


def test_every_quantized_tensor_is_found_with_its_ops(taps: list[probe.Tap]) -> None:
    assert [(tap.name, tap.op) for tap in taps] == [
        ("q0", "QuantizeLinear"),
        ("q1", "Conv+Relu"),
        ("q2", "Conv"),
        ("q3", "Add"),
        ("q4", "Flatten+Gemm"),
    ]


def test_tapping_does_not_change_the_results(model: ir.Model, taps: list[probe.Tap]) -> None:
    plain = Session(ir.to_proto(model), integer=True).run(feeds())
    tapped = Session(probe.tapped(model, taps), integer=True).run(feeds())
    assert list(tapped) == [*plain, "q0", "q1", "q2", "q3", "q4"]
    assert all(np.array_equal(plain[name], tapped[name]) for name in plain)


def test_a_cut_model_fed_with_the_tensors_gives_them_back(model: ir.Model, taps: list[probe.Tap]) -> None:
    tensors = Session(probe.tapped(model, taps), integer=True).run(feeds(), [tap.name for tap in taps])
    opened, fed = probe.cut(model, tensors)
    assert [output.name for output in opened.graph.output] == ["q0", "q1", "q2", "q3", "q4"]
    assert list(fed) == ["q0", "q1", "q2", "q3"]  # nothing that is compared depends on q4
    found = Session(opened, integer=True).run({**feeds(), **{fed[name]: tensors[name] for name in fed}})
    assert all(np.array_equal(tensors[name], found[name]) for name in tensors)


def test_a_cut_model_keeps_its_layers_apart(model: ir.Model, taps: list[probe.Tap]) -> None:
    tensors = Session(probe.tapped(model, taps), integer=True).run(feeds(), [tap.name for tap in taps])
    opened, fed = probe.cut(model, tensors)
    spoilt = {**tensors, "q1": np.roll(tensors["q1"], 1)}
    found = Session(opened, integer=True).run({**feeds(), **{fed[name]: spoilt[name] for name in fed}})
    assert [name for name in tensors if not np.array_equal(tensors[name], found[name])] == ["q2", "q3"]


def test_cutting_leaves_the_model_as_it_was(model: ir.Model, taps: list[probe.Tap]) -> None:
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    tensors = Session(probe.tapped(model, taps), integer=True).run(feeds(), [tap.name for tap in taps])
    probe.cut(model, tensors)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_ranges_and_scales_are_found_through_moves() -> None:
    g = Graph()
    moved = g.node("Transpose", "x", perm=[0, 2, 1])
    y = g.node("Reshape", g.quantize(moved, 0.5, -28), g.constant(np.array([6])), out="y")
    z = g.node("Exp", y, out="z")
    model = ir.from_proto(g.model([1, 2, 3], [y, z]))
    assert graph.input_range(model.graph.inputs[0]) == (-50.0, 77.5)
    assert [graph.output_scale(value) for value in model.graph.outputs] == [0.5, None]


def test_per_channel_and_computed_parameters_give_no_range() -> None:
    g = Graph()
    scales, zeros = g.constant(np.ones(2, np.float32)), g.constant(np.zeros(2, np.int8))
    y = g.node("DequantizeLinear", g.node("QuantizeLinear", "x", scales, zeros, axis=1), scales, zeros, axis=1, out="y")
    model = ir.from_proto(g.model([1, 2, 3], [y]))
    assert graph.input_range(model.graph.inputs[0]) is None
    assert graph.output_scale(model.graph.outputs[0]) is None

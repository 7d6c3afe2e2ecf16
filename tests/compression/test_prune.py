"""Pruning zeroes what it should, where it should, and nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tvmopt.compression import Prune
from tvmopt.compression.prune import Zeros, prune, zeros
from tvmopt.errors import UnsupportedError

from ..report.models import Graph, residual

GENERATOR = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def pruned(model: onnx.ModelProto, pattern: str) -> dict[str, np.ndarray]:
    """The constants of the pruned model, by name."""
    return constants(prune(model, Prune.parse(pattern))[0])


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def dead(weight: np.ndarray, zero_point: np.ndarray | int = 0) -> np.ndarray:
    """Which output channels (first axis) are zero."""
    return (weight == zero_point).reshape(len(weight), -1).all(axis=1)


class Network(Graph):
    """A graph whose constants can be found by the name they are given."""

    def add(self, op: str, x: str, **arrays: np.ndarray) -> str:
        names = []
        for name, array in arrays.items():
            self.constants.append(numpy_helper.from_array(array, name))
            names.append(name)
        return self.node(op, x, *names)


def test_channels_by_their_norm_with_their_biases() -> None:
    graph = Network()
    w1 = normal(4, 3, 3, 3)
    w1[[1, 2]] /= 100
    y = graph.add("Relu", graph.add("Conv", "x", w1=w1, b1=normal(4)))
    y = graph.add("Conv", y, w2=normal(2, 4, 1, 1), b2=normal(2))
    model = graph.model([1, 3, 5, 5], [graph.node("Softmax", y)])
    before, after = constants(model), pruned(model, "channels:0.5")
    assert dead(after["w1"]).tolist() == [False, True, True, False]
    assert (after["b1"] == np.where([True, False, False, True], before["b1"], 0)).all()
    np.testing.assert_array_equal(after["w1"][[0, 3]], before["w1"][[0, 3]])
    for name in ("w2", "b2"):  # computes the output
        np.testing.assert_array_equal(after[name], before[name])


def test_quantized_weights_by_their_real_values_to_their_zero_points() -> None:
    """The channel of the largest integers is the smallest by its scale."""
    graph = Network()
    zero_points = np.array([3, 250, 128, 7], np.uint8)
    distance = np.array([5, 100, 4, 6])[:, None, None, None] * np.sign(normal(4, 3, 3, 3))
    stored = np.clip(zero_points[:, None, None, None] + distance, 0, 255).astype(np.uint8)
    graph.constants.append(numpy_helper.from_array(stored, "w"))
    scales = np.array([1, 0.001, 1, 1], np.float32)
    weight = graph.node("DequantizeLinear", "w", graph.constant(scales), graph.constant(zero_points), axis=0)
    y = graph.quantize(graph.node("Conv", "x", weight), 0.1, 0)
    y = graph.add("Conv", y, last=normal(2, 4, 1, 1))
    after = pruned(graph.model([1, 3, 5, 5], [y]), "channels:0.25")["w"]
    assert after.dtype == np.uint8
    assert dead(after, zero_points[:, None, None, None]).tolist() == [False, True, False, False]
    np.testing.assert_array_equal(after[[0, 2, 3]], stored[[0, 2, 3]])


def test_depthwise_channels_go_with_their_inputs() -> None:
    graph = Network()
    y = graph.add("Conv", "x", w1=normal(6, 3, 1, 1), b1=normal(6))
    y = graph.quantize(graph.node("Clip", y, graph.constant(np.float32(0)), graph.constant(np.float32(6))), 0.1, 5)
    for name in ("w2", "b2"):
        graph.constants.append(numpy_helper.from_array(normal(*((12, 1, 3, 3) if name == "w2" else (12,))), name))
    y = graph.node("Conv", y, "w2", "b2", group=6)
    y = graph.add("Conv", y, w3=normal(2, 12, 1, 1))
    model = graph.model([1, 3, 5, 5], [y])
    before, after = constants(model), pruned(model, "channels:0.5")
    gone = dead(after["w1"])
    assert gone.sum() == 3
    assert (dead(after["w2"]) == gone.repeat(2)).all()
    np.testing.assert_array_equal(after["b2"], np.where(gone.repeat(2), 0, before["b2"]))
    np.testing.assert_array_equal(pruned(model, "unstructured:0.5")["w2"], before["w2"])


def test_layers_whose_outputs_are_added_lose_the_same_channels() -> None:
    """conv1 -> relu -> + conv3(conv2) -> relu -> + conv4 -> depthwise: the norms of conv1, conv3 and conv4 count."""
    graph = Network()
    norms = {"w1": [9, 1, 5, 1], "w3": [9, 2, 1, 5], "w4": [1, 2, 5, 4]}
    signs = np.sign(normal(4, 4, 1, 1))
    weights = {name: signs * np.float32(norm)[:, None, None, None] for name, norm in norms.items()}
    stem = graph.add("Relu", graph.add("Conv", "x", w1=weights["w1"][:, :3]))
    inner = graph.add("Conv", graph.add("Conv", stem, w2=normal(4, 4, 1, 1)), w3=weights["w3"])
    joined = graph.node("Relu", graph.node("Add", stem, inner))
    joined = graph.node("Add", graph.add("Conv", joined, w4=weights["w4"]), graph.quantize(joined, 0.1, 0))
    graph.constants.append(numpy_helper.from_array(normal(4, 1, 1, 1), "dw"))
    last = graph.add("Conv", graph.node("Conv", joined, "dw", group=4), last=normal(2, 4, 1, 1))
    after = pruned(graph.model([1, 3, 5, 5], [last]), "channels:0.5")
    for name in ("w1", "w3", "w4", "dw"):
        assert dead(after[name]).tolist() == [False, True, False, True], name
    assert dead(after["w2"]).sum() == 2


def test_a_gate_loses_the_channels_of_what_it_multiplies() -> None:
    """Squeeze and excitation; the gate may also come from where no layer is, as zero times anything is zero."""
    graph = Network()
    y = graph.add("Conv", "x", w1=np.float32([4, 1, 2, 3])[:, None, None, None] * np.ones((4, 3, 1, 1), np.float32))
    squeezed = graph.add("Relu", graph.add("Conv", graph.node("GlobalAveragePool", y), w2=normal(2, 4, 1, 1)))
    gate = graph.node("Sigmoid", graph.add("Conv", squeezed, w3=np.ones((4, 2, 1, 1), np.float32)))
    y = graph.node("Mul", graph.node("Mul", y, gate), graph.node("Softmax", "x", axis=0))
    after = pruned(graph.model([1, 3, 1, 1], [graph.add("Conv", y, w4=normal(2, 4, 1, 1))]), "channels:0.5")
    assert dead(after["w1"]).tolist() == dead(after["w3"]).tolist() == [False, True, True, False]


@pytest.mark.parametrize("sizes", [[2, 4], [3, 3], None])
def test_parts_of_a_layer_are_followed(sizes: list[int] | None) -> None:
    """As in YOLOv8: half of conv1 (all but its first channels) is added to conv2 of it, both are joined again."""
    graph = Network()
    first, second = sizes or [3, 3]
    y = graph.add("Conv", "x", w1=normal(6, 3, 1, 1))
    given = [graph.constant(np.array(sizes))] if sizes else []
    graph.nodes.append(onnx.helper.make_node("Split", [y, *given], ["part", "rest"], axis=1))
    part, rest = "part", "rest"
    added = graph.node("Add", rest, graph.add("Conv", rest, w2=normal(second, second, 1, 1)))
    joined = graph.node("Concat", part, rest, added, axis=1)
    graph.constants.append(numpy_helper.from_array(normal(6 + second, 1, 1, 1), "dw"))
    y = graph.add("Conv", graph.node("Conv", joined, "dw", group=6 + second), w3=normal(2, 6 + second, 1, 1))
    after = pruned(graph.model([1, 3, 5, 5], [y]), "channels:0.5")
    gone = dead(after["w1"])
    assert gone.sum() == 3
    assert dead(after["w2"]).tolist() == gone[first:].tolist()
    assert dead(after["dw"]).tolist() == [*gone.tolist(), *gone[first:].tolist()]


@pytest.mark.parametrize("beside", ["Add", "Conv"])
def test_channels_stay_that_cannot_disappear(beside: str) -> None:
    """Added to the model's input; before a convolution in groups."""
    graph = Network()
    first = graph.add("Conv", "x", w0=normal(4, 4, 1, 1))
    y = graph.add("Conv", first, w1=normal(4, 4, 1, 1))
    if beside == "Add":
        y = graph.node("Add", y, "x")
    else:
        graph.constants.append(numpy_helper.from_array(normal(4, 2, 1, 1), "grouped"))
        y = graph.node("Conv", y, "grouped", group=2)
    after = pruned(graph.model([1, 4, 5, 5], [graph.add("Conv", y, w2=normal(2, 4, 1, 1))]), "channels:0.5")
    assert {name: int(dead(array).sum()) for name, array in after.items()} == {
        "w0": 2, "w1": 0, "w2": 0, **({"grouped": 0} if beside == "Conv" else {}),
    }  # fmt: skip


def test_a_channel_that_was_dead_keeps_its_bias() -> None:
    graph = Network()
    w1 = normal(4, 3, 1, 1)
    w1[2] = 0
    y = graph.add("Conv", graph.add("Conv", "x", w1=w1, b1=normal(4)), w2=normal(2, 4, 1, 1))
    model = graph.model([1, 3, 5, 5], [y])
    before, (after, changed) = constants(model), prune(model, Prune("channels", 0.25))
    assert changed == 0
    np.testing.assert_array_equal(constants(after)["b1"], before["b1"])


def test_layers_that_lead_to_an_output_keep_their_channels() -> None:
    """conv -> output and conv -> relu -> conv2 -> add(conv3) -> pool -> output: only conv0, before all, may go."""
    graph = Network()
    first = graph.add("Conv", "x", w0=normal(4, 3, 1, 1))
    one = graph.add("Conv", first, w1=normal(4, 4, 1, 1))
    two = graph.add("Conv", graph.add("Relu", one), w2=normal(4, 4, 1, 1))
    three = graph.add("Conv", first, w3=normal(4, 4, 1, 1))
    pool = graph.node("GlobalAveragePool", graph.node("Add", two, three))
    after = pruned(graph.model([1, 3, 5, 5], [one, pool]), "channels:0.5")
    assert [int(dead(after[f"w{index}"]).sum()) for index in range(4)] == [2, 0, 0, 0]


@pytest.mark.parametrize("pattern", ["channels:0.4", "2:4", "block4x2:0.5", "unstructured:0.7"])
def test_matrices_in_every_orientation_lose_the_same_weights(pattern: str) -> None:
    weight = normal(10, 8)
    found = []
    for op, array, attributes in (
        ("MatMul", weight.T, {}),
        ("Gemm", weight.T, {}),
        ("Gemm", weight, {"transB": 1}),
        ("Conv", weight[:, :, None, None], {}),
    ):
        graph = Network()
        graph.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), "w"))
        y = graph.node(op, "x", "w", **attributes)
        shape: list[int | str] = [1, 8, 1, 1] if op == "Conv" else [1, 8]
        last = {"last": normal(2, 10, 1, 1) if op == "Conv" else normal(10, 2)}
        after = pruned(graph.model(shape, [graph.add("Conv" if op == "Conv" else "MatMul", y, **last)]), pattern)["w"]
        found.append((after.T if after.shape == (8, 10) else after).reshape(10, 8))
    assert (found[0] == 0).any()
    assert (found[0] != 0).any()
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_patterns_hold_within_groups_of_a_convolution() -> None:
    graph = Network()
    graph.constants.append(numpy_helper.from_array(normal(6, 4, 3, 3), "w"))
    model = graph.model([1, 8, 5, 5], [graph.node("Conv", "x", "w", group=2)])
    assert ((pruned(model, "2:4")["w"] == 0).sum(axis=1) == 2).all()
    blocks = (pruned(model, "block3x1:0.5")["w"] == 0).reshape(2, 3, 4, 9)
    assert (blocks.all(axis=1) == blocks.any(axis=1)).all()
    assert blocks.sum() == 6 * 4 * 9 / 2


def test_weights_as_nodes_and_weights_quantized_on_the_way() -> None:
    graph = Network()
    weight = normal(8, 3, 1, 1)
    y = graph.node("Conv", "x", graph.node("Constant", value=numpy_helper.from_array(weight)))
    y = graph.node("Conv", y, graph.quantize(graph.constant(normal(2, 8, 1, 1)), 0.01, 0))
    after, changed = prune(graph.model([1, 3, 5, 5], [y]), Prune("unstructured"))
    assert changed == 2
    assert zeros(after) == Zeros(layers=2, weights=40, zero_weights=20)


def test_shared_weights_are_left_alone() -> None:
    graph = Network()
    shared = graph.constant(normal(4, 4))
    y = graph.node("MatMul", graph.node("MatMul", "x", shared), shared)
    for model in (graph.model([1, 4], [y]), Network().model([1, 4], ["x"])):
        with pytest.raises(UnsupportedError, match="no Conv, Gemm or MatMul has constant weights of its own"):
            prune(model, Prune("unstructured"))


def test_two_of_four_needs_a_multiple_of_four() -> None:
    graph = Network()
    y = graph.add("Conv", "x", w1=normal(4, 3, 1, 1))
    with pytest.raises(UnsupportedError, match="a multiple of 4"):
        prune(graph.model([1, 3, 5, 5], [y]), Prune("2:4"))
    after = pruned(graph.model([1, 3, 5, 5], [graph.add("Conv", y, w2=normal(4, 4, 1, 1))]), "2:4")
    assert (after["w1"] != 0).all()
    assert ((after["w2"] == 0).sum(axis=1) == 2).all()


def test_channels_need_a_layer_before_the_last() -> None:
    graph = Network()
    model = graph.model([1, 3, 5, 5], [graph.add("Conv", "x", w=normal(4, 3, 1, 1))])
    with pytest.raises(UnsupportedError, match="every layer computes an output"):
        prune(model, Prune("channels"))


def test_nothing_but_weights_changes() -> None:
    model = residual()
    after, changed = prune(model, Prune("unstructured", 0.3))
    assert changed == 3
    before = constants(model)
    for name, array in constants(after).items():
        kept = array != 0
        np.testing.assert_array_equal(array[kept], before[name][kept])
    del model.graph.initializer[:], after.graph.initializer[:]
    assert [(n.op_type, n.input, n.output, n.attribute) for n in after.graph.node] == [
        (n.op_type, n.input, n.output, n.attribute) for n in model.graph.node
    ]


@pytest.mark.parametrize(("pattern", "lowest"), [("2:4", -127), ("unstructured:0.5", -128)])
def test_two_of_four_leaves_no_lowest_weight(pattern: str, lowest: int) -> None:
    """NPUs with sparse weights have no -128."""
    graph = Network()
    stored = np.arange(-128, 128, dtype=np.int8).reshape(8, 32, 1, 1)
    scale, zero = graph.constant(np.array(0.1, np.float32)), graph.constant(np.array(0, np.int8))
    weight = graph.node("DequantizeLinear", graph.constant(stored), scale, zero)
    after = pruned(graph.model([1, 32, 5, 5], [graph.node("Conv", "x", weight)]), pattern)
    assert min(array.min() for array in after.values() if array.dtype == np.int8) == lowest

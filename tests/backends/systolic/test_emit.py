"""Command streams compute what the reference does, whatever the array's size and the room on chip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.backends.systolic.harness import check, machine, single
from tests.lowering.strategies import convolutions, tensor
from tests.quant.regions import Case, regions
from tvmopt.backends.systolic import Graph, Reshape, Step, Tensor, Transpose, emit, refuse
from tvmopt.errors import UnsupportedError
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Concat, Conv, MatMul, Pool, Region, Table
from tvmopt.runtime.systolic.commands import Load, Permute, Store, Stream

slow = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
arrays = st.builds(machine, rows=st.sampled_from([3, 8, 40]), columns=st.sampled_from([2, 8]))


@slow
@given(regions, arrays)
def test_every_region_that_is_taken(case: Case, on: object) -> None:
    region, inputs = case
    graph = single(region, *inputs)
    assume(refuse(graph.steps[0], on) is None)
    check(graph, list(inputs), on)


@slow
@given(convolutions(), arrays)
def test_convolutions_of_any_geometry(case: tuple[Conv, np.ndarray], on: object) -> None:
    region, x = case
    assume(not region.transposed and region.y is not None)
    graph = single(region, x)
    assume(refuse(graph.steps[0], on) is None)
    check(graph, [x], on)


U8 = QParams.per_tensor(0.05, 120, "uint8")
S8 = QParams.per_tensor(0.04, -3, "int8")
W = QParams.per_tensor(0.01, 0, "int8")


def conv(channels: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, x: QParams = U8) -> Conv:
    weight = tensor((outputs, channels // groups, kernel, kernel), "int8", outputs)
    bias = np.arange(outputs, dtype=np.int32) * 100
    padding = (kernel // 2,) * 4
    return Conv(x, W, weight, bias, x, x.range, (stride,) * 2, padding, (1, 1), groups)


def network() -> tuple[Graph, list[np.ndarray]]:
    """A residual network with every operator, moves between them, and two outputs."""
    x = Tensor("x", (1, 6, 9, 9), "uint8")
    steps: list[Step] = []

    def add(name: str, op: object, shape: tuple[int, ...], *inputs: Tensor, dtype: str = "uint8") -> Tensor:
        out = Tensor(name, shape, dtype)
        steps.append(Step(op, inputs, out))
        return out

    a = add("a", conv(6, 12), (1, 12, 9, 9), x)
    wide = add("wide", conv(12, 24, groups=12), (1, 24, 9, 9), a)
    b = add("b", conv(24, 12, 1), (1, 12, 9, 9), wide)
    c = add("c", Binary("add", U8, U8, None, U8, U8.range), (1, 12, 9, 9), a, b)
    constant = tensor((12, 1, 1), "int8", 4)
    d = add("d", Binary("mul", U8, W, constant, S8, (-100, 100)), (1, 12, 9, 9), c, dtype="int8")
    e = add("e", Pool("max", S8, S8, (2, 2), (2, 2), (0,) * 4, (1, 1)), (1, 12, 4, 4), d, dtype="int8")
    f = add("f", Concat((S8, S8), U8, 1), (1, 24, 4, 4), e, e)
    g = add("g", Table(U8, U8, tensor((256,), "uint8", 5)), (1, 24, 4, 4), f)
    h = add("h", Transpose((0, 2, 3, 1)), (1, 4, 4, 24), g)
    i = add("i", Reshape(), (16, 24), h)
    j = add("j", MatMul(U8, W, tensor((24, 20), "int8", 6), None, U8, U8.range), (16, 20), i)
    k = add("k", Reshape(), (1, 24 * 16), g)
    m = add("m", MatMul(U8, W, tensor((384, 5), "int8", 7), None, S8, S8.range), (1, 5), k, dtype="int8")
    return Graph([x], [c, j, m], steps, channels_last=True), [tensor((1, 6, 9, 9), "uint8", 8)]


def test_a_network_in_one_stream() -> None:
    graph, inputs = network()
    program = check(graph, inputs, machine())
    assert not program.spills
    # The transpose to channels last costs nothing; a reshape of all channels of a pixel to a row does.
    assert sum(isinstance(command, Permute) for command in program.commands) == 1


def test_tensors_that_do_not_fit_wait_in_dram() -> None:
    graph, inputs = network()
    program = check(graph, inputs, machine(rows=4, columns=4, memory_kib=4))
    assert {buffer.name for buffer in program.spills} == {"spill0"}
    assert [c.buffer for c in program.commands if isinstance(c, Store)].count("spill0") == 1
    assert [c.buffer for c in program.commands if isinstance(c, Load)].count("spill0") >= 1


def test_sums_that_the_accumulators_do_not_hold_are_streamed_in_pieces() -> None:
    region = conv(16, 8)
    x = tensor((1, 16, 9, 9), "uint8")
    on = machine(accumulator_kib=1)  # 32 rows of 8 sums
    program = check(single(region, x), [x], on)
    pieces = {(c.pixel, c.pixels) for c in program.commands if isinstance(c, Stream)}
    assert pieces == {(0, 32), (32, 32), (64, 17)}


def test_sums_overflow_as_in_two_s_complement() -> None:
    region = MatMul(S8, W, np.full((8, 3), -128, np.int8), np.full(3, 2**31 - 1, np.int32), S8, S8.range)
    x = np.full((2, 8), -128, np.int8)
    check(single(region, x), [x], machine())


def test_what_is_larger_than_the_memory() -> None:
    x = tensor((1, 16, 40, 40), "uint8")
    graph = single(conv(16, 16), x)
    on = machine(memory_kib=32)
    assert refuse(graph.steps[0], on) == "needs 50 KiB of on-chip memory, there are 32"
    with pytest.raises(UnsupportedError, match=r"node 'y': needs 50 KiB of on-chip memory, the accelerator has 32"):
        emit(graph, on)


@pytest.mark.parametrize(
    ("region", "inputs", "reason"),
    [
        (
            MatMul(S8, W, None, None, S8, S8.range),
            (tensor((2, 3), "int8"), tensor((3, 4), "int8")),
            "both of its operands are computed, the array needs one that is constant",
        ),
        (
            MatMul(S8, QParams.per_tensor(0.1, 5, "int8"), np.full((3, 4), -128, np.int8), None, S8, S8.range),
            (tensor((2, 3), "int8"),),
            "its weights minus their zero points do not fit int8",
        ),
        (
            MatMul(S8, W, tensor((3, 4), "int8"), None, None, (0, 0)),
            (tensor((2, 3), "int8"),),
            "its result is float",
        ),
        (
            Pool("max", S8, S8, (2, 2, 2), (1,) * 3, (0,) * 6, (1,) * 3),
            (tensor((1, 2, 3, 3, 3), "int8"),),
            "it pools over more than two axes",
        ),
        (
            Binary("add", S8, S8, None, S8, S8.range, requantize="fixed"),
            (tensor((2, 3), "int8"), tensor((2, 3), "int8")),
            "its output stage scales in float32, not in fixed point",
        ),
    ],
)
def test_reasons(region: Region, inputs: tuple[np.ndarray, ...], reason: str) -> None:
    assert refuse(single(region, *inputs).steps[0], machine()) == reason

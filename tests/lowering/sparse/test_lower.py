"""Sparse kernels give the reference's bits, and are chosen only where they pay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lowering.graphs import Graph, run
from tests.lowering.harness import RUNNABLE, VNNI, check, needs_vnni
from tests.lowering.strategies import clamps, modes, outputs_for, params, tensor, weights
from tvmopt import target as targets
from tvmopt.lowering import lower, sparse
from tvmopt.lowering.arith import fuses
from tvmopt.lowering.dispatch import activation
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.sparse import cost
from tvmopt.lowering.sparse.slices import BLOCK
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Border, Conv, MatMul


@st.composite
def matmuls(draw: st.DrawFn) -> tuple[MatMul, np.ndarray]:
    """Blocks of zeros in a weight of any zero point."""
    pixels, length, outputs = draw(st.integers(1, 200)), draw(st.integers(16, 80)), draw(st.integers(1, 64))
    weight, b = draw(weights((length, outputs), 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows, columns = draw(st.sampled_from([(1, 1), (4, 1), (16, 1), (1, 4), (16, 4)]))
    blocks = rng.random((-(-length // columns), -(-outputs // rows))) < draw(st.floats(0, 1))
    zero = np.kron(blocks, np.ones((columns, rows)))[:length, :outputs]
    weight = np.where(zero > 0, b.zero_point, weight // 2).astype(weight.dtype)
    a = draw(params("uint8"))
    y = draw(outputs_for(a, b, length))
    biases = [None, rng.integers(-(2**12), 2**12, outputs).astype(np.int32)]
    if y is None:
        biases.append(rng.normal(0, 10, outputs).astype(np.float32))
    clamp = (0, 0) if y is None else draw(clamps(y))
    region = MatMul(a, b, weight, draw(st.sampled_from(biases)), y, clamp, requantize=draw(modes))
    return region, tensor((pixels, length), "uint8")


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=matmuls(), threads=st.integers(1, 2))
@settings(max_examples=12, deadline=None)
def test_random_products(target, case, threads):
    region, x = case
    check(region, x, target=targets.get(target), threads=threads, lower=forced("groups"))


@needs_vnni
@pytest.mark.parametrize("shared", [1, BLOCK])
@given(case=matmuls(), threads=st.integers(1, 2))
@settings(max_examples=10, deadline=None)
def test_random_slices(shared, case, threads):
    region, x = case
    weight = region.weight.astype(int) - region.b.zero_point
    if weight.min() >= -128 and weight.max() <= 127:
        lower = forced("slices", lambda *args: -float(args[-1] == shared))
        check(region, x, target=targets.get(VNNI), threads=threads, lower=lower)


def free(*args) -> float:
    return -1.0


def forced(form: str, cycles: Callable[..., float] = free) -> Callable[..., Kernel]:
    """What lowers a region to that sparse form, whatever it costs; a convolution to the only one."""

    def lower(*args) -> Kernel:
        with mock.patch.multiple(cost, **{form: cycles, "windows": free}, DENSEST=1):
            return sparse.lower(*args).kernel

    return lower


@needs_vnni
@pytest.mark.parametrize("size", [7, 8, 12])
def test_pointwise_convolutions(size):
    rng = np.random.default_rng(size)
    weight = rng.integers(-127, 128, (64, 96, 1, 1)) * (rng.random((64, 96, 1, 1)) < 0.1)
    x, w, y = (QParams.per_tensor(scale, zero, dtype) for scale, zero, dtype in SCALES)
    bias = rng.integers(-999, 999, 64).astype(np.int32)
    region = Conv(x, w, weight.astype(np.int8), bias, y, (100, 255), (1, 1), (0,) * 4, (1, 1))
    x = tensor((2, 96, size, size), "uint8")
    check(region, x, target=targets.get(VNNI), threads=1, lower=forced("groups"))


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize(("zero_point", "clamp"), [(0, (0, 255)), (77, (100, 200)), (128, (90, 255))])
def test_zero_points(target, zero_point, clamp):
    """One of 128 is a flipped bit; sums that are small enough are kept in floats."""
    y = QParams.per_tensor(0.5, zero_point, "uint8")
    region, target = replace(product(0.9), y=y, clamp=clamp), targets.get(target)
    kernel = forced("groups")(region, (Stored((70, 512), activation("uint8", target)),), (70, 256), target)
    assert ("llvm.fma" in kernel.func.script()) == fuses(target)
    check(region, tensor((70, 512), "uint8"), target=target, threads=1, lower=forced("groups"))


@needs_vnni
def test_sums_that_leave_a_mantissa():
    """2**22, with every weight of a column at its largest and a bias beyond."""
    region = product(0.9)
    far = replace(region, bias=np.full(256, 2**23, np.int32), y=QParams.per_tensor(20.0, 0, "uint8"))
    kernel = forced("groups")(far, (Stored((70, 512), "uint8"),), (70, 256), targets.get(VNNI))
    assert "llvm.fma" not in kernel.func.script()
    check(far, tensor((70, 512), "uint8"), target=targets.get(VNNI), threads=1, lower=forced("groups"))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
    """Windows of any size over padded images."""
    kernel, dilations, strides = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (4, 2, 3))
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    padding = tuple(draw(st.integers(0, r)) for r in reach * 2)
    size = [draw(st.integers(max(1, r + 1 - b - e), 13)) for r, b, e in zip(reach, padding, padding[2:], strict=False)]
    channels, outputs = draw(st.sampled_from([16, 24, 57, 64])), draw(st.sampled_from([1, 16, 21, 64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    weight = rng.integers(-127, 128, (outputs, channels, *kernel))
    weight *= rng.random(weight.shape) < draw(st.floats(0, 1))
    x, w = draw(params("uint8")), QParams.per_tensor(0.01, 0, "int8")
    y = draw(outputs_for(x, w, weight[0].size))
    bias = rng.integers(-(2**12), 2**12, outputs).astype(np.int32)
    clamp = (0, 0) if y is None else draw(clamps(y))
    region = Conv(x, w, weight.astype(np.int8), bias, y, clamp, strides, padding, dilations)
    return region, tensor((draw(st.integers(1, 2)), channels, *size), "uint8")


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=convolutions(), threads=st.integers(1, 2))
@settings(max_examples=12, deadline=None)
def test_random_convolutions(target, case, threads):
    region, x = case
    check(region, x, target=targets.get(target), threads=threads, lower=forced("groups"))


def test_strided_convolutions_pay():
    """Also those that skip pixels altogether."""
    rng = np.random.default_rng(0)
    x, w, y = (QParams.per_tensor(*scale) for scale in SCALES)
    for kernel in (1, 3):
        weight = rng.integers(-127, 128, (256, 256, kernel, kernel)) * (rng.random((256, 256, kernel, kernel)) < 0.02)
        padding = (kernel // 2,) * 4
        region = Conv(x, w, weight.astype(np.int8), np.zeros(256, np.int32), y, (0, 255), (2, 2), padding, (1, 1))
        stored = Stored((1, 256, 28, 28), "uint8", True)
        assert sparse.lower(region, (stored,), (1, 256, 14, 14), targets.get(VNNI)).kernel is not None


def test_few_zeros_are_told():
    region = product(0.1)
    choice = sparse.lower(region, (Stored((128, 512), "uint8"),), (128, 256), targets.get(VNNI))
    assert choice == sparse.Choice(None, "dense: less than 25% of its weights are zero")
    without = replace(region, weight=np.ones_like(region.weight))
    assert sparse.lower(without, (Stored((128, 512), "uint8"),), (128, 256), targets.get(VNNI)) is None


def test_few_channels_stay_dense():
    region = product(0.9)
    few = replace(region, weight=region.weight[:15])
    choice = sparse.lower(few, (Stored((128, 15), "uint8"),), (128, 256), targets.get(VNNI))
    assert choice == sparse.Choice(None, "dense: 15 channels are fewer than the 16 that are transposed at a time")


def test_borders_stay_dense():
    x, w, y = (QParams.per_tensor(*scale) for scale in SCALES)
    border = Border(np.ones((32, 2, 1), np.int32), (np.array([0, 1, 1, 0]), np.zeros(4, int)))
    region = Conv(
        x, w, np.zeros((32, 32, 1, 1), np.int8), np.zeros(32, np.int32), y, (0, 255), (1, 1), (0,) * 4, (1, 1),
        border=border,
    )  # fmt: skip
    choice = sparse.lower(region, (Stored((1, 32, 4, 4), "uint8", True),), (1, 32, 4, 4), targets.get(VNNI))
    assert choice == sparse.Choice(None, "dense: constants are added to its sums that differ from place to place")


def test_transposed_convolutions_stay_dense():
    x, w, y = (QParams.per_tensor(*scale) for scale in SCALES)
    weight = np.zeros((32, 32, 2, 2), np.int8)
    region = Conv(x, w, weight, np.zeros(32, np.int32), y, (0, 255), (2, 2), (0,) * 4, (1, 1), transposed=True)
    choice = sparse.lower(region, (Stored((1, 32, 8, 8), "uint8", True),), (1, 32, 16, 16), targets.get(VNNI))
    assert choice == sparse.Choice(None, "dense: a transposed convolution reads more zeros than its weight has")


SCALES = [(0.02, 3, "uint8"), (0.01, 0, "int8"), (0.05, 100, "uint8")]


def product(zeros: float, seed: int = 0) -> MatMul:
    """[256, 512], blocks of 4 outputs."""
    rng = np.random.default_rng(seed)
    kept = np.kron(rng.random((512, 64)) >= zeros, np.ones((1, 4)))
    weight = (rng.integers(-127, 128, (512, 256)) * kept).astype(np.int8)
    a, b, y = (QParams.per_tensor(*scale) for scale in SCALES)
    return MatMul(a, b, weight, None, y, (0, 255))


AMX = "x86/sapphirerapids"


@pytest.mark.parametrize(
    ("zeros", "name", "taken"),
    [
        (0.9, VNNI, True),
        (0.1, VNNI, False),
        (0.9, "x86/avx2", True),
        (0.1, "x86/avx2", False),
        (0.9, "x86/generic", True),
        (0.1, "x86/generic", False),
        (0.9, "arm/cortex-a76", True),
        (0.1, "arm/cortex-a76", False),
        (0.9, "arm/cortex-a72", True),
        (0.1, "arm/cortex-a72", False),
        (0.9, "arm/cortex-a7", False),
        (0.75, VNNI, True),
        (0.75, AMX, False),
        (0.98, AMX, True),
    ],
)
def test_dense_competes(zeros, name, taken):
    target = targets.get(name)
    held = (Stored((128, 512), activation("uint8", target)),)
    choice = sparse.lower(product(zeros), held, (128, 256), target)
    assert (choice is not None and choice.kernel is not None) == taken


@needs_vnni
def test_wide_weights_are_multiplied_in_pairs():
    """A weight that needs 16 bits is no operand of vpdpbusd."""
    region = product(0.9)
    weight = np.where(region.weight == 0, -100, 127).astype(np.int8)
    wide = replace(region, weight=weight, b=QParams.per_tensor(0.01, -100, "int8"))
    choice = sparse.lower(wide, (Stored((128, 512), "uint8"),), (128, 256), targets.get(VNNI))
    assert choice.kernel is not None
    assert choice.kernel.constants[2].dtype == np.int16
    check(wide, tensor((128, 512), "uint8"), target=targets.get(VNNI), threads=1, lower=forced("groups"))


@needs_vnni
@pytest.mark.parametrize("sparsity", [True, False])
def test_in_a_model(sparsity):
    graph = Graph(x=tensor((1, 128, 512), "uint8"))
    first = graph.region(product(0.9), *graph.params)
    model, _ = graph.model(first)
    target = targets.get(VNNI)
    record = lower(model, target, sparsity=sparsity).history[-1]
    assert record.after["sparse"] == int(sparsity)
    assert [why.split(":")[0] for why in record.notes.values()] == ["sparse"] * sparsity


@needs_vnni
def test_shapes_are_free():
    """Leading axes of a product, and an image's, are rows of the kernel."""
    graph = Graph(x=tensor((2, 16, 5, 512), "uint8"))
    run(graph, graph.region(product(0.9), *graph.params), target=targets.get(VNNI))

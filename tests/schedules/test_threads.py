"""What threads share of a kernel."""

from __future__ import annotations

from math import ceil

import pytest
import tvm
import tvm_ffi
from tvm import tirx
from tvmopt.schedules._common import evenly

from tests.lowering.harness import HOST, check, of_threads
from tests.lowering.strategies import tensor
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.schedule import schedule

from .convolutions import conv

TARGET = targets.get("x86/cascadelake")


def shared(kernel: tirx.PrimFunc, threads: int) -> list[int]:
    """Iterations of its parallel loops."""
    found: list[int] = []
    func = schedule(of_threads(tvm.IRModule({"main": kernel}), threads), TARGET)["main"]

    def visit(loop: tirx.For, visitor: tvm_ffi.StructuralVisitor) -> None:
        if loop.kind == tirx.ForKind.PARALLEL:
            found.append(int(loop.extent))
        visitor.visit(loop.body)

    tvm_ffi.structural_visit(func.body, [(tirx.For, visit)])
    return found


def convolution(batch: int, channels: int, size: int) -> tirx.PrimFunc:
    region, _ = conv(channels, 32, 3, size)
    held = wants(region, (Stored((batch, channels, size, size), "int8"),), TARGET)
    return lower(region, held, (batch, 32, size, size), TARGET).func


@pytest.mark.parametrize("batch", [1, 3])
def test_groups_of_rows(batch: int) -> None:
    """Whose input is copied a group at a time: not the images, of which there may be one."""
    kernel = convolution(batch, 192, 12)
    assert shared(kernel, 1) == []
    assert shared(kernel, 2) == [batch * 6]  # 2 rows each: 3 groups of 4 are not shared evenly
    assert shared(kernel, 3) == [batch * 3]


def test_small_copies_are_left_to_one() -> None:
    assert len(shared(convolution(1, 64, 12), 2)) == 1
    assert len(shared(convolution(1, 256, 18), 2)) == 3  # its borders, its middle, and the tiles


@pytest.mark.parametrize("batch", [1, 2])
def test_result(batch: int) -> None:
    region, _ = conv(192, 32, 3, 12)
    check(region, tensor((batch, 192, 12, 12), "int8"), target=HOST, threads=2)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_evenly(threads: int) -> None:
    func = tirx.PrimFunc([], tirx.Evaluate(0)).with_attr("tvmopt.threads", threads)
    for count in range(1, 200):
        assert evenly(func, count) == (ceil(count / threads) * threads <= count * 9 / 8)

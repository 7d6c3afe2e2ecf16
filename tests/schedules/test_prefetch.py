"""Which weights are asked for, and how often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.ir import Call
from tvm_ffi import structural_map

from tvmopt import target as targets
from tvmopt.lowering.conv import convolve
from tvmopt.lowering.dispatch import wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import schedule

from .convolutions import conv

TARGET = targets.get("x86/generic")


def kernel(channels: int, outputs: int, size: int, window: int) -> Kernel:
    region, (x,) = conv(channels, outputs, window, size)
    held = wants(region, (Stored(x.shape, "int8"),), TARGET)
    return convolve(region, held, (1, outputs, size, size), TARGET)


def prefetches(kernel: Kernel, threads: int, instead: Callable[[tirx.Expr], tirx.Stmt]) -> tirx.PrimFunc:
    """The scheduled function that does something else with what it would ask for."""
    func = schedule(tvm.IRModule({"main": kernel.func.with_attr("tvmopt.threads", threads)}), TARGET)["main"]

    def replaced(stmt: tirx.Evaluate) -> tirx.Stmt:
        args = list(stmt.value.args) if isinstance(stmt.value, Call) else []
        asked = [arg for arg in args if isinstance(arg, Call) and arg.op.name == "tirx.address_of"]
        return instead(asked[0].args[0]) if asked else stmt

    return func.with_body(structural_map(func.body, (tirx.Evaluate, replaced)))


@pytest.mark.parametrize(
    ("channels", "outputs", "size", "window"),
    [(80, 96, 10, 3), (256, 256, 7, 1), (128, 330, 4, 1), (1024, 64, 5, 1), (40, 200, 5, 3)],
)
def test_every_line_of_all_tiles_but_the_first(channels, outputs, size, window):
    """Once each, or a few times where a tile is passed by more tiles of pixels than it has blocks."""
    made = kernel(channels, outputs, size, window)
    weight = made.constants[0]
    asked = tirx.decl_buffer(weight.shape[:-2], "int32", "asked")

    def count(load: tirx.Expr) -> tirx.Stmt:
        line = list(load.indices)[:-2]
        return tirx.BufferStore(asked, asked[tuple(line)] + 1, line)

    func = prefetches(made, 1, count)
    params = [*func.params, asked]
    func = tirx.PrimFunc(params, func.body, func.ret_type, func.attrs).with_attr("global_symbol", "main")
    counts = tvm.runtime.tensor(np.zeros(weight.shape[:-2], np.int32))
    *shapes, out = made.shapes
    arrays = [np.zeros(shapes[0], str(made.func.params[0].ty.dtype)), *made.constants]
    arguments = [tvm.runtime.tensor(x.reshape(shape)) for x, shape in zip(arrays, shapes, strict=True)]
    library = tvm.tirx.build(func, target=TARGET.tvm())
    library["main"](*arguments, tvm.runtime.empty(out, made.out.dtype), counts)
    by_block = counts.numpy().reshape(len(weight), -1)
    first = int(np.argmax(by_block.min(axis=1) > 0))
    assert 0 < first <= 8
    assert not by_block[:first].any()
    assert by_block[first:].min() >= 1


def test_small_weights_are_not_asked_for():
    def fail(load: tirx.Expr) -> tirx.Stmt:
        raise AssertionError(load)

    prefetches(kernel(16, 64, 9, 3), 1, fail)
    prefetches(kernel(256, 256, 1, 1), 1, fail)  # one row: there is nothing to compute meanwhile

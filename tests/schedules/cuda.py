"""Lowers a region for a GPU, runs its threads in numpy, and compares with the integer reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tvm

from tests.lowering.harness import restore, store
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import apply, load, schedule
from tvmopt.lowering.threads import grant
from tvmopt.quant import reference
from tvmopt.quant.order import Order
from tvmopt.quant.regions import Region
from tvmopt.target import Target

from . import gpu
from .memory import Grid


class Case:
    """A region for a target, with its inputs and what it must give.

    Attributes
    ----------
    kernel : unscheduled.
    func   : scheduled by the first rule of the target that takes it.
    """

    def __init__(
        self,
        region: Region,
        inputs: tuple[np.ndarray, ...],
        target: Target,
        lower: Callable[..., Kernel | None] = lower,
        orders: Sequence[Order | None] = (),
    ) -> None:
        """orders : of the inputs' axes in memory, where a kernel takes them so."""
        self.target = target
        self.expected = reference.run(region, *inputs)
        given = itertools.zip_longest(inputs, orders)
        held = wants(region, tuple(Stored(x.shape, x.dtype.name, permuted=order) for x, order in given), target)
        kernel = lower(region, held, self.expected.shape, target)
        assert kernel is not None
        self.kernel: Kernel = kernel
        self.arguments = [*(store(x, h) for x, h in zip(inputs, held, strict=True)), *kernel.constants]

    @property
    def func(self) -> tvm.tirx.PrimFunc:
        return schedule(grant(tvm.IRModule({"main": self.kernel.func}), self.target, 1), self.target)["main"]

    def check(self, scheduled: tvm.tirx.PrimFunc | None = None) -> None:
        """Assert that a scheduled function, by default ``func``, gives the reference's result, bit for bit."""
        result, _ = self.run(scheduled)
        np.testing.assert_array_equal(result, self.expected)

    def run(self, scheduled: tvm.tirx.PrimFunc | None = None) -> tuple[np.ndarray, list[Grid]]:
        """What a scheduled function gives, and the grids of its kernels."""
        out = np.zeros(self.kernel.out.physical, self.kernel.out.dtype)
        result, grids = gpu.run(scheduled or self.func, self.target, self.arguments, out)
        return restore(result, self.kernel.out, self.expected.dtype), grids


def cuts(case: Case, rule: str) -> list[tvm.tirx.PrimFunc]:
    """``case`` scheduled by a rule in a third of the ways that its decisions allow.

    Of decisions with three values, each value of one meets each of another once (a Latin square).
    """
    copy = tvm.ir.load_json(tvm.ir.save_json(case.kernel.func))  # whose loops annotations may change (ARCHITECTURE.md)
    root = load(rule).apply(copy, case.target.tvm(), tunable=True)
    options = {
        name.removeprefix("tvmopt.decision."): sorted({int(value) for value in values[1:]})
        for name, values in root.get(root.get_sblock("root")).annotations.items()
    }
    each = itertools.product(*(enumerate(values) for values in options.values()))
    third = [[value for _, value in cut] for cut in each if sum(i for i, _ in cut) % 3 == 0]
    found = [apply(rule, case.kernel.func, case.target, list(zip(options, values, strict=True))) for values in third]
    assert all(func is not None for func in found)
    return found


def source(funcs: dict[str, tvm.tirx.PrimFunc], target: Target) -> str:
    """CUDA C++ of scheduled functions."""
    named = {name: func.with_attr("global_symbol", name) for name, func in funcs.items()}
    return tvm.tirx.build(tvm.IRModule(named), target=target.tvm()).imports[0].inspect_source()

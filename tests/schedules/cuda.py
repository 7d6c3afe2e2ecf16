"""Lowers a region for a GPU, runs its threads in numpy, and compares with the integer reference."""

from __future__ import annotations

import numpy as np
import tvm
from tvm.s_tir import Schedule

from tests.lowering.harness import restore, store
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.quant import reference
from tvmopt.quant.regions import Region
from tvmopt.target import Target

from . import gpu


class Case:
    """A region for a target, with its inputs and what it must give.

    Attributes
    ----------
    kernel : unscheduled.
    func   : scheduled by the first rule of the target that takes it.
    """

    def __init__(self, region: Region, inputs: tuple[np.ndarray, ...], target: Target) -> None:
        self.target = target
        self.expected = reference.run(region, *inputs)
        held = wants(region, tuple(Stored(x.shape, x.dtype.name) for x in inputs), target)
        kernel = lower(region, held, self.expected.shape, target)
        assert kernel is not None
        self.kernel: Kernel = kernel
        self.arguments = [*(store(x, h) for x, h in zip(inputs, held, strict=True)), *kernel.constants]

    @property
    def func(self) -> tvm.tirx.PrimFunc:
        return schedule(tvm.IRModule({"main": self.kernel.func}), self.target, 1)["main"]

    def check(self, scheduled: tvm.tirx.PrimFunc | Schedule | None = None) -> None:
        """Assert that a scheduled function, by default ``func``, gives the reference's result, bit for bit."""
        func = scheduled.mod["main"] if isinstance(scheduled, Schedule) else scheduled or self.func
        out = np.zeros(self.kernel.out.physical, self.kernel.out.dtype)
        result = gpu.execute(func, self.target, self.arguments, out)
        np.testing.assert_array_equal(restore(result, self.kernel.out, self.expected.dtype), self.expected)


def source(funcs: dict[str, tvm.tirx.PrimFunc], target: Target) -> str:
    """CUDA C++ of scheduled functions."""
    named = {name: func.with_attr("global_symbol", name) for name, func in funcs.items()}
    return tvm.tirx.build(tvm.IRModule(named), target=target.tvm()).imports[0].inspect_source()

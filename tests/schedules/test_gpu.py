"""The interpreter of kernels finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule
from tvm_ffi import structural_map

from tvmopt import target as targets
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import MatMul

from . import gpu
from .cuda import Case

TARGET = targets.get("cuda/sm_80")


@pytest.fixture(scope="module")
def case() -> Case:
    a, b, y = QParams.per_tensor(0.1, 3, "uint8"), QParams.per_tensor(0.1, 0, "int8"), QParams.per_tensor(9, 3, "uint8")
    rng = np.random.default_rng(0)
    weight, x = rng.integers(-128, 128, (256, 32), np.int8), rng.integers(0, 256, (32, 256), np.uint8)
    return Case(MatMul(a, b, weight, np.zeros(32, np.int32), y, (0, 255)), (x,), TARGET)


def without(func: tvm.tirx.PrimFunc, name: str) -> tvm.tirx.PrimFunc:
    """``func`` without the calls of an instruction."""

    def cut(stmt: tirx.Evaluate) -> tirx.Stmt:
        call = stmt.value
        names = [str(getattr(call.op, "name", "")), *(str(getattr(arg, "value", "")) for arg in call.args)]
        return tirx.Evaluate(tirx.const(0)) if name in names else stmt

    return structural_map(func, [(tirx.Evaluate, cut)])


def test_a_good_kernel(case):
    case.check()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tirx.tvm_storage_sync", "without a barrier"),
        ("tvmopt_wait", "read before it is written"),
        ("tvmopt_copy16", "read before it is written"),
        ("tvmopt_mma", "Mismatched elements"),
    ],
)
def test_a_kernel_that_lacks_something(case, name, says):
    # TVM itself would put some barriers back
    with pytest.raises(AssertionError, match=says), tvm.transform.PassContext(disabled_pass=["s_tir.ThreadSync"]):
        case.check(without(case.func, name))


def test_several_threads_that_write_one_element():
    x = te.placeholder((8,), "float32", "x")
    sch = Schedule(te.create_prim_func([x, te.compute((8,), lambda i: x[i], "y")]))
    sch.bind(sch.add_unit_loop(sch.get_loops(sch.get_sblock("y"))[0]), "blockIdx.x")
    func = sch.mod["main"]
    twice = structural_map(
        func, [(tirx.For, lambda loop: _extent(loop, 2) if loop.thread_binding is not None else loop)]
    )
    with pytest.raises(AssertionError, match="two threads write one element"):
        gpu.execute(twice, TARGET, [np.zeros(8, np.float32)], np.zeros(8, np.float32))


def _extent(loop: tirx.For, extent: int) -> tirx.For:
    axis = tirx.IterVar(tvm.ir.Range(0, extent), loop.thread_binding.var, 1, loop.thread_binding.thread_tag)
    return tirx.For(loop.loop_var, loop.min, tirx.const(extent), loop.kind, loop.body, axis)

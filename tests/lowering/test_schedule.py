"""How rules are found and applied."""

from __future__ import annotations

import sys
from types import ModuleType

import msgspec
import pytest
import tvm
from tvm import te
from tvm.s_tir import Schedule

from tvmopt import target as targets
from tvmopt.errors import TargetError
from tvmopt.lowering.schedule import schedule

from .harness import HOST


class Rule:
    """Takes functions whose first parameter has ``rank`` dimensions, and says that it did."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.seen: list[int] = []

    def apply(self, func, target, tunable):
        assert tunable is False
        assert target.kind.name == "llvm"
        if len(func.params[0].ty.shape) != self.rank:
            return None
        self.seen.append(int(func.params[0].ty.shape[0]))
        sch = Schedule(func)
        sch.vectorize(sch.get_loops(sch.get_sblock("y"))[-1])
        return sch


@pytest.fixture
def rules(monkeypatch):
    found = {"one": Rule(1), "any": Rule(2)}
    for name, rule in found.items():
        module = ModuleType(f"tvmopt.schedules.{name}")
        module.rule = lambda rule=rule: rule
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


def function(*shape: int) -> tvm.tirx.PrimFunc:
    x = te.placeholder(shape, "float32", "x")
    return te.create_prim_func([x, te.compute(shape, lambda *i: x(*i) + x(*i), "y")]).with_attr("mark", len(shape))


def test_first_rule_that_takes_it(rules):
    target = msgspec.structs.replace(HOST, schedules=["one", "any"])
    mod = tvm.IRModule({"a": function(16), "b": function(4, 16), "c": function(2, 4, 16)})
    scheduled = schedule(mod, target)
    assert rules["one"].seen == [16]
    assert rules["any"].seen == [4]
    text = {name: scheduled[name].script() for name in "abc"}
    assert "T.vectorized" in text["a"]
    assert "T.vectorized" in text["b"]
    assert "T.vectorized" not in text["c"]
    assert [int(scheduled[name].attrs["mark"]) for name in "abc"] == [1, 2, 3]


def test_a_gpu_that_is_too_old_for_a_rule():
    """One line, not what the compiler says of every instruction."""
    old = msgspec.structs.replace(targets.get("cuda/sm_75"), schedules=["cuda_mma"])
    with pytest.raises(TargetError, match=r"target cuda/sm_75: schedule 'cuda_mma' needs sm_80 or later, not sm_75$"):
        schedule(tvm.IRModule(), old)

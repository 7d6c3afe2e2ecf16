"""What the kernels of a function share on a GPU is planned; nothing is taken from TVM's pool. Nothing needs a GPU."""

from __future__ import annotations

import pytest
from tvm import relax

from tests.lowering.graphs import Graph
from tests.schedules.convolutions import matmul
from tvmopt import target as targets
from tvmopt.backends import cuda
from tvmopt.backends.cuda import workspace
from tvmopt.lowering import lower
from tvmopt.model import Model

TARGET = targets.get("cuda/sm_80")


@pytest.fixture(scope="module")
def model() -> Model:
    """A product whose reduction is split: two kernels."""
    region, (x,) = matmul(8, 3072, 768)
    graph = Graph(x=x)
    return lower(graph.model(graph.region(region, *graph.params))[0], TARGET)


def calls(mod):
    """The outputs of every call of a TIR function."""
    found = {}

    def visit(expr):
        if isinstance(expr, relax.Call) and getattr(expr.op, "name", "") == "relax.call_tir":
            found[expr.args[0].name_hint] = expr.ty

    relax.analysis.post_order_visit(mod["main"], visit)
    return found


def test_what_kernels_share_is_an_output(model):
    before, after = calls(model.mod), calls(workspace.lift(model.mod))
    assert before.keys() == after.keys()
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["tvmopt_matmul"]
    own, partial = after["tvmopt_matmul"].fields
    assert own == before["tvmopt_matmul"]
    assert (list(partial.shape)[1:], str(partial.dtype)) == ([8, 768], "int32")


def test_nothing_is_taken_from_the_pool(model, monkeypatch):
    assert b"TVMBackendAllocWorkspace" not in cuda.build(model, TARGET, {})
    monkeypatch.setattr(workspace, "lift", lambda mod: mod.clone())
    assert b"TVMBackendAllocWorkspace" in cuda.build(model, TARGET, {})

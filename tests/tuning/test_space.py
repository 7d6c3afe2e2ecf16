"""Candidates: the default first, every other one among the options, and what is none is refused."""

from __future__ import annotations

import random

import pytest
import tvm_ffi

from tests.tuning import kernels
from tvmopt import target as targets
from tvmopt.errors import TuningError
from tvmopt.lowering.schedule import load
from tvmopt.tuning import space

TARGET = targets.get("x86/cascadelake")


@pytest.fixture(scope="module")
def task():
    return kernels.convolution(TARGET)


def test_default(task):
    default = space.apply(task, space.default(task))
    assert tvm_ffi.structural_equal(default, space.apply(task, ()))
    rule = load(task.rule).apply(task.func, TARGET.tvm(), tunable=False).mod["main"].with_attrs(task.func.attrs)
    assert tvm_ffi.structural_equal(default, rule)


def test_samples(task):
    rng = random.Random(0)
    drawn = [dict(space.sample(task, rng)) for _ in range(2000)]
    for choice in task.space:
        assert choice.default in choice.options
        assert {decisions[choice.name] for decisions in drawn} == set(choice.options)


def test_candidates_differ(task):
    name, options = task.space[0].name, task.space[0].options
    functions = [space.apply(task, ((name, value),)) for value in options[:3]]
    assert not any(tvm_ffi.structural_equal(functions[0], other) for other in functions[1:])


def test_refused(task):
    with pytest.raises(TuningError, match="no decision 'colour'"):
        space.apply(task, (("colour", 3),))
    with pytest.raises(TuningError, match=f"{task.space[0].name} is -1, none of"):
        space.apply(task, ((task.space[0].name, -1),))

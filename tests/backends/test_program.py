"""Reading a lowered Relax function as a flat list of kernel calls."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax, te, tirx

from tvmopt.backends import program
from tvmopt.errors import UnsupportedError
from tvmopt.model import Model

from .harness import make_model


def test_reads_calls_constants_and_outputs() -> None:
    weight = np.arange(8, dtype="int8")

    def add(x, w):
        return te.compute(x.shape, lambda i: x[i] + w[i])

    steps = program.read(make_model(lambda emit, x: emit(add, emit(add, x, weight), weight.copy()), x=((8,), "int8")))
    x, constant, first, second = steps.tensors
    assert (x.input, x.bytes, x.computed) == (0, 8, False)
    assert constant.data is not None
    assert np.array_equal(constant.data, weight), "equal constants are one tensor"
    assert first.computed
    assert second.computed
    assert [(call.reads, call.writes) for call in steps.calls] == [((0, 1), (2,)), ((2, 1), (3,))]
    assert steps.outputs == (3,)
    assert set(steps.kernels) == {call.kernel for call in steps.calls}


def test_reshape_is_another_name() -> None:
    def negate(x):
        return te.compute(x.shape, lambda *i: -x(*i))

    def build(emit, x):
        return emit(negate, relax.BlockBuilder.current().emit(relax.op.reshape(emit(negate, x), (4, 2))))

    steps = program.read(make_model(build, x=((8,), "float32")))
    assert [(call.reads, call.writes) for call in steps.calls] == [((0,), (1,)), ((1,), (2,))]


def test_kernel_of_two_outputs() -> None:
    def halves(x):
        return te.compute((4,), lambda i: x[i]), te.compute((4,), lambda i: x[i + 4])

    def build(emit, x):
        both = emit(halves, x)
        return both[1], both[0]

    steps = program.read(make_model(build, x=((8,), "float32")))
    assert steps.calls[0].writes == (1, 2)
    assert steps.outputs == (2, 1)


def test_other_operators_are_refused() -> None:
    model = make_model(lambda emit, x: relax.BlockBuilder.current().emit(relax.op.exp(x)), x=((8,), "float32"))
    with pytest.raises(UnsupportedError, match=r"relax\.exp was not lowered"):
        program.read(model)


def test_symbolic_shapes_are_refused() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((tirx.Var("n", "int64"), 4), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(x)
    with pytest.raises(UnsupportedError, match=r"node 'x'.*not known"):
        program.read(Model(builder.finalize(), (), ()))

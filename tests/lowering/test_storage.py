"""Tensors in several storages."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.storage import Value, fetch, original, reshaped, same_memory
from tvmopt.quant.relax_form.scope import constant

from .strategies import tensor

LAST = (0, 2, 3, 1)
FIRST = (0, 1, 2, 3)


@pytest.fixture
def builder():
    builder = relax.BlockBuilder()
    with builder.testing_scope([]):
        yield builder


def variable(*shape: int, dtype: str = "int8") -> Value:
    return Value.of(relax.Var("x", relax.TensorType(shape, dtype)))


def ops(builder: relax.BlockBuilder, expr: relax.Expr) -> list[str]:
    """Names of the ops that compute ``expr``, last first."""
    names = []
    while (call := builder.lookup_binding(expr) if isinstance(expr, relax.Var) else expr) is not None:
        names.append(call.op.name.removeprefix("relax."))
        expr = call.args[0]
    return names


def test_a_conversion_is_emitted_once(builder):
    x = variable(1, 3, 4, 5)
    last = fetch(builder, x, LAST, "uint8")
    assert fetch(builder, x, LAST, "uint8").same_as(last)
    assert ops(builder, last) == ["permute_dims", "astype", "bitwise_xor", "astype"]
    assert ops(builder, fetch(builder, x, LAST, "int8")) == ["permute_dims"]
    assert original(builder, x).same_as(x.held[FIRST, "int8"])


def test_a_transpose_moves_nothing(builder):
    x = variable(2, 3, 4, 5)
    y = x.permuted([0, 2, 3, 1])
    assert y.shape == (2, 4, 5, 3)
    assert y.stored == Stored((2, 4, 5, 3), "int8", permuted=(0, 3, 1, 2))  # neither layout
    back = y.permuted([0, 3, 1, 2])
    assert original(builder, back).same_as(x.held[FIRST, "int8"])
    assert back.stored == Stored((2, 3, 4, 5), "int8")
    last = Value.at(Stored((2, 3, 4, 5), "int8", channels_last=True), "int8", x.held[FIRST, "int8"])
    assert original(builder, last.permuted([0, 2, 3, 1])).same_as(x.held[FIRST, "int8"])


def test_axes_of_one_element_do_not_count(builder):
    assert same_memory(LAST, FIRST, (1, 8, 1, 1))
    assert not same_memory(LAST, FIRST, (1, 8, 2, 1))
    x = Value.at(Stored((2, 8, 1, 1), "int8", channels_last=True), "int8", variable(2, 1, 1, 8).held[FIRST, "int8"])
    assert ops(builder, reshaped(builder, x, (2, 8)).held[(0, 1), "int8"]) == ["reshape"]
    y = Value.at(Stored((2, 8, 2, 1), "int8", channels_last=True), "int8", variable(2, 2, 1, 8).held[FIRST, "int8"])
    assert ops(builder, reshaped(builder, y, (2, 16)).held[(0, 1), "int8"]) == ["reshape", "permute_dims"]


def test_constants_are_converted_when_compiling(builder):
    array = tensor((2, 3, 4, 5), "int8")
    got = fetch(builder, Value.of(constant(array)), LAST, "uint8").value.numpy()
    np.testing.assert_array_equal(got, (array.astype(int) + 128).astype(np.uint8).transpose(LAST))

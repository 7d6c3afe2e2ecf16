"""If: a known condition, a computed one, and branches that cannot be chosen between."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model, ops
from tvmopt import frontend
from tvmopt.errors import UnsupportedError

BODY = """g (float[2,3] x, bool{shape} c) => (float[2,3] y) {{
    y = If({condition}) <
        then_branch = then () => (float[2,3] t) {{ two = Constant<value_float=2.0>() t = Mul(x, two) }},
        else_branch = other () => (float[2,3] e) {{ two = Constant<value_float=3.0>() e = Add(x, two) }}
    >
}}"""


@pytest.mark.parametrize("taken", [True, False])
def test_known_condition(taken):
    loaded = compare(model(BODY.format(shape="", condition="k"), {"k": np.array(taken)}))
    assert ops(loaded) == (["multiply"] if taken else ["add"])


@pytest.mark.parametrize("shape", ["", "[1]"])
def test_computed_condition(shape):
    assert "where" in ops(compare(model(BODY.format(shape=shape, condition="c"))))


def test_branches_of_different_shapes():
    body = """g (float[2,3] x, bool c) => (float[2,N] y) {
        y = If(c) <
            then_branch = then () => (float[2,3] t) { t = Abs(x) },
            else_branch = other () => (float[2,6] e) { e = Concat<axis=1>(x, x) }
        >
    }"""
    with pytest.raises(UnsupportedError, match=r"node 'If:y': If, whose branches differ in shape .* is a constant"):
        frontend.load(model(body))

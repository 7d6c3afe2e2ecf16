import numpy as np
import pytest
import tvm

from tvmopt import frontend
from tvmopt.passes import pipeline
from tvmopt.passes.mark_patterns import PATTERN, MarkPatterns
from tvmopt.quant.params import QParams

from .qdq import Qdq

X = QParams.per_tensor(0.05, 3, "int8")
W = QParams.per_tensor(0.01, 5, "int8")


def model(kept, groups=1):
    """A convolution that keeps the inputs at the places ``kept`` of every four."""
    g, rng = Qdq(), np.random.default_rng(0)
    weight = np.full((8, 4 // groups * 2, 4, 3, 3), 5, np.int8)
    weight[:, :, kept] = rng.integers(6, 100, weight[:, :, kept].shape)
    x = g.input((1, weight.shape[1] * 4 * groups, 5, 5), X)
    return g.model(g.fake(g.node("Conv", x, g.weight(weight.reshape(8, -1, 3, 3), W), group=groups), X))


@pytest.mark.parametrize(("kept", "pattern"), [([1], "1:4"), ([0, 3], "2:4"), ([0, 1, 3], None)])
@pytest.mark.parametrize("groups", [1, 2])
def test_composites_tell_their_pattern(kept, pattern, groups):
    before = pipeline.run(frontend.load(model(kept, groups)), sparsity=False).mod
    after = MarkPatterns()(before)
    found = [f.attrs.get(PATTERN) for _, f in after.functions_items() if f.attrs.get("Composite") == "tvmopt.conv"]
    assert found == [pattern]
    unmarked = {name: f.without_attr(PATTERN) for name, f in after.functions_items()}
    tvm.ir.assert_structural_equal(tvm.IRModule(unmarked), tvm.IRModule(before.functions))

"""Branches -> the one that is taken, or both and a choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..fold import constant
from .builder import Builder, Rule, static_shape


def _if(to: Builder) -> Sequence[ir.Value] | None:
    """If(constant) -> the nodes of that branch; If(c) -> both and Where(c, then, else), when they agree in shape.

    Nodes have no effects, so that computing both branches is only a matter of time.
    """
    branches = [to.node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    condition = to.input(0)
    known = constant(condition)
    if known is not None:
        return _named(to, to.adopt(branches[0 if known.all() else 1]))
    if any(static_shape(value) is None for value in to.node.outputs):
        return None
    scalar = to.op("Reshape", condition, to.constant(np.zeros(0, np.int64)))
    values = zip(*map(to.adopt, branches), strict=True)
    return [to.op("Where", scalar, then, otherwise) for then, otherwise in values]


def _named(to: Builder, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
    """What a branch gives may be a value from outside, which keeps its own name."""
    return [to.op("Identity", value) for value in values]


RULES: dict[tuple[str, str], Rule] = {("", "If"): _if}

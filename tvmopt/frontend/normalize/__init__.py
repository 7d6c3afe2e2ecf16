"""Rewriting an ONNX graph, with onnx-ir, into the one form the compiler knows.

Every quantized operator becomes DequantizeLinear -> float operator -> QuantizeLinear. What remains of
integer arithmetic, MatMulInteger and ConvInteger whose int32 result is used as such, stays as it is.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import Sequential, common

from ...errors import UnsupportedError
from .. import contrib, qparams, shapes
from ..converters import why_refused
from ..fold import fold_constants
from . import control, conv, dynamic, elementwise, fused, matmul, nbits, plain, pool, quantize, recurrent, windows
from .builder import Builder, Rule
from .functions import expand_functions

RULES: dict[tuple[str, str], Rule] = {
    **control.RULES,
    **conv.RULES,
    **dynamic.RULES,
    **elementwise.RULES,
    **fused.RULES,
    **matmul.RULES,
    **nbits.RULES,
    **plain.RULES,
    **pool.RULES,
    **quantize.RULES,
    **recurrent.RULES,
    **windows.RULES,
}
"""(domain, operator) -> the rule that rewrites it."""


def normalize(model: ir.Model) -> None:
    """Rewrite ``model`` in place: rules, constant folding and shape inference, until nothing changes.

    Raises ModelError for quantization parameters that are no such thing, UnsupportedError for an operator
    whose rule needs a rank that shape inference does not find.
    """
    clean = Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
    )
    changed = True
    while changed:
        changed = expand_functions(model)
        changed |= _rewrite(model)
        plain.remove_identities(model)
        clean(model)
        qparams.check(model)
        changed |= fold_constants(model)
        if changed:
            shapes.infer(model, strict=False)
    for node in model.graph:
        if node.domain == contrib.DOMAIN:
            reason = why_refused(node) or f"the number of dimensions {node.op_type} works on is unknown"
            raise UnsupportedError(reason, node=node.name)


def _rewrite(model: ir.Model) -> bool:
    """Apply every rule that fits, from the outputs on, so that the largest pattern is found first."""
    graph, changed = model.graph, False
    for node in reversed(list(graph)):
        rule = RULES.get((node.domain, node.op_type))
        if rule is None or node.graph is None:
            continue
        to = Builder(node, model.opset_imports[""])
        values = rule(to)
        if values is None:
            continue
        ir.convenience.replace_nodes_and_values(graph, node, [node], to.nodes, node.outputs[: len(values)], values)
        changed = True
    return changed

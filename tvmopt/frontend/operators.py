"""Every node must call an operator that exists, with the inputs and attributes it takes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import ModelError, UnsupportedError
from . import contrib

# Operator sets that are known by name; anything else is somebody's own.
_ONNX_DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview.training")


def check(model: ir.Model) -> None:
    """Raise unless every node fits its operator's schema (onnx package) or signature (``contrib``).

    ModelError: no such operator, an input or attribute too many, missing, or of the wrong type.
    UnsupportedError: an operator of another domain.
    """
    for graph in model.graphs():
        for node in graph:
            if node.domain == contrib.DOMAIN:
                _check_contrib(node)
            elif node.domain in _ONNX_DOMAINS:
                _check_onnx(node, model.opset_imports.get(node.domain))
            else:
                raise UnsupportedError(
                    f"operators of domain '{node.domain}' ({node.op_type}) are unknown", node=node.name
                )


def _check_onnx(node: ir.Node, opset: int | None) -> None:
    domain = node.domain or "ai.onnx"
    if opset is None:
        raise ModelError(f"{node.op_type} is of domain {domain}, of which the model imports no opset", node=node.name)
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        known = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == node.domain}
        reason = f"there is no operator {node.op_type} in {domain} opset {opset}"
        if node.op_type in known:
            raise ModelError(reason, node=node.name, hint="another opset has it") from None
        near = difflib.get_close_matches(node.op_type, known, n=1)
        raise ModelError(reason, node=node.name, hint=f"did you mean {near[0]}?" if near else None) from None
    if schema.deprecated:
        raise ModelError(f"operator {node.op_type} no longer exists in {domain} opset {opset}", node=node.name)
    names = []
    for formal in schema.inputs:
        optional = formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional
        variadic = formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic
        required = not optional and not (variadic and formal.min_arity == 0)
        names.append(formal.name + ("*" if variadic else "") + ("" if required else "?"))
    _check_inputs(node, names)
    if len(node.outputs) > schema.max_output or len(node.outputs) < schema.min_output:
        raise ModelError(
            f"{node.op_type} gives {schema.min_output} to {schema.max_output} outputs, {len(node.outputs)} are named",
            node=node.name,
        )
    _check_attributes(node, {*schema.attributes})
    for name, attribute in schema.attributes.items():
        if name not in node.attributes:
            if attribute.required:
                raise ModelError(f"{node.op_type} needs the attribute '{name}'", node=node.name)
        elif int(node.attributes[name].type) != attribute.type.value:
            raise ModelError(
                f"attribute '{name}' of {node.op_type} is {node.attributes[name].type.name}, "
                f"it has to be {attribute.type.name}",
                node=node.name,
            )


def _check_contrib(node: ir.Node) -> None:
    signature = contrib.SIGNATURES.get(node.op_type)
    if signature is None:
        raise UnsupportedError(f"operator {node.op_type} of {node.domain} is not supported", node=node.name)
    _check_inputs(node, signature.inputs)
    _check_attributes(node, signature.attributes)


def _check_inputs(node: ir.Node, names: Sequence[str]) -> None:
    """``names`` as in ``contrib.Signature``."""
    variadic = bool(names) and "*" in names[-1]
    if len(node.inputs) > len(names) and not variadic:
        raise ModelError(f"{node.op_type} takes {len(names)} inputs, {len(node.inputs)} are given", node=node.name)
    for index, name in enumerate(names):
        if "?" not in name and (index >= len(node.inputs) or node.inputs[index] is None):
            raise ModelError(
                f"{node.op_type} needs its input {index} ({name.rstrip('*')}), it is missing", node=node.name
            )


def _check_attributes(node: ir.Node, known: set[str] | frozenset[str]) -> None:
    for name in node.attributes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ModelError(
                f"{node.op_type} has no attribute '{name}'",
                node=node.name,
                hint=f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known)) or 'none'}",
            )

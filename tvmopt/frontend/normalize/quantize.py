"""QuantizeLinear and DequantizeLinear of com.microsoft -> those of ai.onnx."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..contrib import DOMAIN
from .builder import Builder, Rule


def _same(to: Builder) -> Sequence[ir.Value]:
    """Same inputs, same meaning; ai.onnx took their 16-bit types and axis over later."""
    return [to.op(to.node.op_type, *to.node.inputs, **to.kept())]


RULES: dict[tuple[str, str], Rule] = {(DOMAIN, "DequantizeLinear"): _same, (DOMAIN, "QuantizeLinear"): _same}

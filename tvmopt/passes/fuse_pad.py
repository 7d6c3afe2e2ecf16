"""Padding that a convolution can do itself."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from ..quant.relax_form.products import CONV
from ..quant.relax_form.scope import Expr, Unfit, Var, op_name
from ..quant.relax_form.write import dequantized
from .graph import Rewriter, rewrite


@tvm.transform.module_pass(opt_level=0, name="tvmopt.FusePad")
class FusePad:
    """Rewrites::

        conv(dequantize(pad(x, zero point)), w, padding=p) -> conv(dequantize(x), w, padding=p + pad)

    for constant padding of the spatial axes. Bit-exact: a convolution pads with real zeros.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return rewrite(mod, _FusePad)


class _FusePad(Rewriter):
    def visit(self, var: Var, value: Expr) -> None:
        if isinstance(value, relax.Call) and op_name(value) in CONV:
            fused = self.fused(var, value)
            value = value if fused is None else fused
        self.bind(var, value)

    def fused(self, var: Var, conv: relax.Call) -> Expr | None:
        try:
            x, params = self.scope.activation(conv.args[0])
        except Unfit:
            return None
        pad = self.scope.call(x, "relax.nn.pad")
        if pad is None or pad.attrs.pad_mode != "constant" or pad.attrs.pad_value != int(params.zero_point):
            return None
        width = np.array([int(size) for size in pad.attrs.pad_width]).reshape(-1, 2)
        if width[:2].any() or (width < 0).any():
            return None
        spatial = len(width) - 2
        attrs = conv.attrs
        padding = [int(p) for p in attrs.padding]
        total = [*(padding[i] + int(width[2 + i, 0]) for i in range(spatial)),
                 *(padding[spatial + i] + int(width[2 + i, 1]) for i in range(spatial))]  # fmt: skip
        op = {3: relax.op.nn.conv1d, 4: relax.op.nn.conv2d}[len(width)]
        data = self.emit(dequantized(pad.args[0], params), f"{var.name}_input")
        return op(
            data, conv.args[1], list(attrs.strides), total, list(attrs.dilation), attrs.groups,
            data_layout=attrs.data_layout, kernel_layout=attrs.kernel_layout, out_layout=attrs.out_layout,
        )  # fmt: skip

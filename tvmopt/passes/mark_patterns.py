"""N:M structure of weights, told to the back ends."""

from __future__ import annotations

import tvm
from tvm import relax

from ..quant.regions import Conv, MatMul
from ..quant.relax_form import from_function
from ..quant.slicing import centered
from ..quant.sparsity import pattern

PATTERN = "tvmopt.pattern"
"""Attribute of a composite: the N:M pattern that its weight follows along its inputs, "2:4" or "1:4"."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.MarkPatterns")
class MarkPatterns:
    """Rewrites::

        Composite conv or matmul, at most 2 of every 4 input channels not zero -> the same, tvmopt.pattern = "2:4"

    For hardware that multiplies such weights faster (mma.sp, Ethos-U85). Computes nothing differently.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        marked = {
            name: function.with_attr(PATTERN, found)
            for name, function in mod.functions_items()
            if isinstance(function, relax.Function) and "Composite" in (function.attrs or {})
            if (found := _pattern(function))
        }
        if marked:
            mod = mod.clone()
            mod.update(tvm.IRModule(marked))
        return mod


def _pattern(function: relax.Function) -> str:
    region = from_function(function)
    if isinstance(region, (Conv, MatMul)) and region.weight is not None:
        return pattern(centered(region) != 0)
    return ""

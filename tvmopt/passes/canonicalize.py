"""What importers write in several ways, written in one."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst

from ..quant.relax_form.evaluate import evaluate, is_elementwise
from ..quant.relax_form.scope import Expr, Var, constant, op_name, static_shape
from . import moves
from .graph import Rewriter, rewrite


@tvm.transform.module_pass(opt_level=0, name="tvmopt.Canonicalize")
class Canonicalize:
    """Rewrites::

        op(constants)                -> constant                   elementwise ops, moves, and shapes
        mean(x, axes, keepdims=0)    -> squeeze(mean(x, axes, keepdims=1))

    ``dequantize(constant)`` stays: it is what says that a weight is quantized.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return rewrite(mod, _Canonicalize)


class _Canonicalize(Rewriter):
    def visit(self, var: Var, value: Expr) -> None:
        if isinstance(value, relax.Call):
            constant = self.fold(value)
            if constant is not None:
                self.replace(var, constant)
                return
            if op_name(value) == "relax.mean" and value.attrs.axis is not None and not value.attrs.keepdims:
                axes = [int(axis) % value.args[0].ty.ndim for axis in value.attrs.axis]
                kept = self.emit(relax.op.mean(value.args[0], axes, True), f"{var.name}_kept")
                value = relax.op.squeeze(kept, axes)
        self.bind(var, value)

    def fold(self, call: relax.Call) -> GenericConst | None:
        """The constant that ``call`` computes, where its operands are constants."""
        name = op_name(call)
        if name == "relax.shape_to_tensor":
            shape = self.scope.value(call.args[0])
            if isinstance(shape, relax.Call) and op_name(shape) == "relax.shape_of":
                sizes = static_shape(shape.args[0].ty)
                return None if sizes is None else constant(np.array(sizes, np.int64))
            return None
        tensors = [arg for arg in call.args if isinstance(arg.ty, relax.TensorType)]
        if not tensors or not all(isinstance(arg, GenericConst) for arg in tensors):
            return None
        arrays = [
            arg.value.numpy() if isinstance(arg, GenericConst) else np.asarray(getattr(arg, "value", 0))
            for arg in call.args
        ]
        if is_elementwise(call):
            return constant(evaluate(call, arrays))
        if name == "relax.take" and call.attrs.axis is not None and len(tensors) == 2:
            index = np.where(arrays[1] < 0, arrays[1] + arrays[0].shape[int(call.attrs.axis)], arrays[1])
            return constant(np.take(arrays[0], index, int(call.attrs.axis)))
        folded = moves.fold(call, call.ty)
        return folded if isinstance(folded, GenericConst) else None

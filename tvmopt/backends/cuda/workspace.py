"""Memory that the kernels of one function share is planned with all other tensors.

y = call_tir(f, args)                   # f allocates a tensor between two of its kernels
->
y, _ = call_tir(f, args)                # f gets it as another output

Else TVM takes it from a pool of the calling thread: a captured graph would go on using memory of a thread that is gone,
and a pool that must grow cannot be captured.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import IntImm, PrimFunc


def lift(mod: tvm.ir.IRModule) -> tvm.ir.IRModule:
    """The rewrite, of all functions that ``main`` calls by ``call_tir``."""
    lifted = {gv: buffers for gv, func in mod.functions_items() if (buffers := _shared(func))}
    kept = {gv: func for gv, func in mod.functions_items() if gv not in lifted}
    calls = _Calls(tvm.ir.IRModule(kept, attrs=mod.attrs))
    for gv, buffers in lifted.items():
        calls.lifted[gv] = calls.builder_.add_func(_given(mod[gv], buffers), gv.name_hint), buffers
    (main,) = (gv for gv in kept if gv.name_hint == "main")
    calls.builder_.update_func(main, calls.visit_expr(mod["main"]))
    return calls.builder_.get()


def _shared(func: Any) -> list[Any]:
    """The buffers in global memory that a function allocates, of known sizes."""
    if not isinstance(func, PrimFunc) or not isinstance(func.body, SBlockRealize):
        return []
    buffers = (buffer for buffer in func.body.block.alloc_buffers if buffer.scope() == "global")
    return [buffer for buffer in buffers if all(isinstance(extent, IntImm) for extent in buffer.shape)]


def _given(func: PrimFunc, buffers: list[Any]) -> PrimFunc:
    """``func`` with buffers as its last parameters."""
    root = func.body.block
    kept = [buffer for buffer in root.alloc_buffers if buffer not in buffers]
    block = SBlock([], [], [], root.name_hint, root.body, alloc_buffers=kept, annotations=root.annotations)
    return PrimFunc([*func.params, *buffers], SBlockRealize([], True, block), func.ret_type, func.attrs)


@mutator
class _Calls(PyExprMutator):
    """Calls of ``lifted`` functions, which have new names, with room for what their kernels share."""

    def __init__(self, mod: tvm.ir.IRModule) -> None:
        super().__init__(mod)
        self.lifted: dict[tvm.ir.GlobalVar, tuple[tvm.ir.GlobalVar, list[Any]]] = {}

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if getattr(call.op, "name", "") != "relax.call_tir" or call.args[0] not in self.lifted:
            return call
        (function, buffers), (args, *sizes) = self.lifted[call.args[0]], call.args[1:]
        shared = [relax.TensorType([int(n) for n in buffer.shape], str(buffer.dtype)) for buffer in buffers]
        own = list(call.ty.fields) if isinstance(call.ty, relax.TupleType) else [call.ty]
        results = self.builder_.emit(relax.call_tir(function, args, [*own, *shared], *sizes))
        first = [relax.TupleGetItem(results, i) for i in range(len(own))]
        return relax.Tuple(first) if isinstance(call.ty, relax.TupleType) else first[0]

"""What records are found by: digests of a function and of a target, the same in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from ..target import Target

_STRUCTURAL = {"prim.if_then_else", "tirx.call_llvm_pure_intrin", "tirx.call_llvm_intrin"}
"""Operators whose first argument, a condition or a function, is no number to compute with."""


def digest(func: PrimFunc) -> str:
    """Of an unscheduled function: its loops, shapes, dtypes, operation, and threads; 16 hexadecimal digits.

    Numbers that only take part in arithmetic do not count: convolutions that differ in zero points and clamps,
    which are literals in them, are the same workload. Those in indices and conditions do.
    """
    import tvm_ffi
    from tvm import tirx

    attrs = dict(func.attrs or {})
    kept = {key: attrs[key] for key in ("tvmopt.op", "tvmopt.threads") if key in attrs}
    bare = tirx.PrimFunc(func.params, func.body, func.ret_type).with_attrs(kept)
    return f"{tvm_ffi.structural_hash(_without_literals(bare)) & (1 << 64) - 1:016x}"


def fingerprint(target: Target) -> str:
    """Of what generated code depends on: architecture, CPU, features and the length of vectors; and the GPU's."""
    from ..backends import cpu

    parts = [cpu.architecture(target), target.llvm.mcpu, str(target.vector_bytes), ",".join(sorted(target.llvm.mattr))]
    return " ".join(filter(None, [*parts, target.cuda.arch if target.cuda is not None else ""]))


def _without_literals(func: PrimFunc) -> PrimFunc:
    """Zeros for the literals in the values that statements store."""
    import tvm_ffi
    from tvm import ir, tirx

    within = False  # a value to be stored

    def store(node: Any, mutator: Any) -> Any:
        nonlocal within
        within = True
        value = mutator.mutate(node.value)
        within = False
        return tirx.BufferStore(node.buffer, value, node.indices)

    def call(node: Any, mutator: Any) -> Any:
        kept = list(node.args[:1]) if getattr(node.op, "name", "") in _STRUCTURAL else []
        args = [*kept, *(mutator.mutate(arg) for arg in node.args[len(kept) :])]
        return ir.Call(node.op, args, node.attrs, node.ty_args, ret_ty=node.ty)

    def select(node: Any, mutator: Any) -> Any:
        return tirx.Select(node.condition, mutator.mutate(node.true_value), mutator.mutate(node.false_value))

    def literal(node: Any, mutator: Any) -> Any:
        return tirx.const(0, str(node.ty.dtype)) if within else node

    callbacks = [
        (tirx.BufferStore, store),
        (ir.TensorLoad, lambda node, mutator: node),
        (ir.Call, call),
        (tirx.Select, select),
        ((tirx.IntImm, tirx.FloatImm), literal),
    ]
    return tvm_ffi.structural_mutate(func, callbacks)

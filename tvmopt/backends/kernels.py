"""Scheduled PrimFuncs -> plain C functions in one object file, without TVM's calling convention.

``f(A: Buffer, B: Buffer)`` with ``alloc C``  ->  ``int32_t f(A *, B *, C *)``

A kernel takes the addresses of its buffers, then of its scratch buffers, and returns 0. Buffers may have any
alignment that their element type allows. The object needs memcpy, memset and libm, and, only if a loop is
parallel, ``__TVMBackendParallelLaunch`` (templates/parallel.c).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..target import Target
from . import exponential, tasks
from .traffic import traffic

if TYPE_CHECKING:
    import tvm
    from tvm import tirx


STACK_ALIGNMENT = 16
"""Bytes to which calling conventions align the stack, at most."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """Lowered kernels.

    Attributes
    ----------
    mod     : the functions, by symbol, ready for code generation.
    scratch : by symbol, the bytes of each scratch buffer, in parameter order.
    traffic : by symbol, the bytes read and written of each buffer of the function, then of each scratch buffer.
    """

    mod: tvm.ir.IRModule
    scratch: dict[str, tuple[int, ...]]
    traffic: dict[str, tuple[int, ...]]


def lower(
    funcs: Mapping[str, tuple[tirx.PrimFunc, Mapping[int, int]]],
    target: Target,
    *,
    stack_bytes: int,
    threads: int,
    portable: bool = False,
) -> Kernels:
    """Lower each function as far as code generation wants it.

    funcs       : by symbol, a function and which parameters share memory: {parameter: earlier parameter}; the
                  former is then not a parameter of the kernel.
    stack_bytes : a buffer of at most this size stays on the stack (or in registers), where the compiler may
                  reason about it; larger ones become scratch. In a parallel loop all of them are on the stack.
    threads     : that share parallel loops; with one of them they are serial loops.
    portable    : for TVM's C code generator, which has no vectors; otherwise for LLVM.
    """
    import tvm
    from tvm import tirx

    # Without registers for them, LLVM makes a copy of the code for each lane.
    vectorize = not portable and target.vector_bytes > 4
    expanded = {symbol: exponential.expand(func, fenced=vectorize) for symbol, (func, _) in funcs.items()}
    mod = tvm.IRModule(expanded if threads > 1 else {symbol: tasks.serial(func) for symbol, func in expanded.items()})
    mod = _passes(tvm.target.Target("c") if portable else target.tvm(), vectorize=vectorize)(mod)
    raw, sizes, moved = {}, {}, {}
    for gv, func in mod.functions.items():
        symbol, count = gv.name_hint, traffic(func)
        func = tasks.split(func, threads)
        raw[gv], scratch = _raw_pointers(func, symbol, funcs[symbol][1], stack_bytes)
        if not portable and target.vector_bytes > STACK_ALIGNMENT:
            raw[gv] = _with_aligned_spills(raw[gv], target.vector_bytes)
        sizes[symbol] = tuple(_bytes(buffer) for buffer in scratch)
        moved[symbol] = tuple(count[buffer] for buffer in (*func.params, *scratch))
    mod = tvm.IRModule(raw)
    mod = tvm.transform.Sequential([tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()])(mod)
    return Kernels(mod, sizes, moved)


def write_object(kernels: Kernels, target: Target, path: Path, *, inline: bool = True) -> None:
    """Compile the kernels with LLVM.

    inline : whether a function that kernels call may become a part of them.
    """
    import tvm

    build = tvm.get_global_func("target.build.llvm")
    options = [] if inline else ["-inline-instr-cost:int=1000"]
    if target.llvm.mtriple.startswith("thumb") and target.vector_bytes > 4:
        options.append("-disable-vector-combine:bool=1")  # after it, LLVM 22 may select instructions of Helium for ever
    found = tvm.target.Target({**target.tvm().attrs, "kind": "llvm", **({"cl-opt": options} if options else {})})
    build(kernels.mod, found).write_to_file(str(path), "o")


def _passes(target: tvm.target.Target, *, vectorize: bool) -> tvm.transform.Pass:
    """``tvm.s_tir.pipeline`` for a CPU: without GPU passes and the packed calling convention."""
    import tvm
    from tvm.s_tir import transform as s
    from tvm.tirx import transform as t

    return tvm.transform.Sequential(
        [
            t.BindTarget(target),
            s.CanonicalizeLoop(),
            s.LowerInitBlock(),
            s.PlanAndUpdateBufferAllocationLocation(),
            s.ConvertBlocksToOpaque(),
            s.CompactBufferAllocation(),
            s.LowerMatchBuffer(),
            s.StmtSimplify(),
            s.AnnotateIrregularLoop(),
            s.LowerOpaqueBlock(),
            t.FlattenBuffer(),
            t.BF16ComputeLegalize(),
            t.NarrowDataType(32),
            s.LoopPartition(),
            t.VectorizeLoop(vectorize),
            t.StorageRewrite(),
            s.HoistIfThenElse(),
            t.UnrollLoop(),
            s.RenormalizeSplitPattern(),
            t.StmtSimplify(),
            t.RemoveNoOp(),
            s.RewriteUnsafeSelect(),
            t.CommonSubexprElim(),
        ]
    )


def _raw_pointers(
    func: tirx.PrimFunc, symbol: str, same: Mapping[int, int], stack_bytes: int
) -> tuple[tirx.PrimFunc, list[Any]]:
    """Buffer parameters become pointers, large allocations (which are returned) become parameters after them."""
    import tvm_ffi
    from tvm import ir, tirx

    pointers: dict[int, Any] = {}
    declared = []
    for number, param in enumerate(func.params):
        if isinstance(param.ty, ir.PrimType):
            pointers[number] = param
            continue
        if number in same:
            pointers[number] = pointers[same[number]]
        else:
            name = re.sub(r"\W", "_", f"p_{param.name}")
            pointers[number] = _pointer(name, param.ty.dtype)
        declared.append(tirx.DeclBuffer(param, data=pointers[number]))

    on_stack = _allocated_in_parallel(func.body)
    scratch: list[Any] = []
    added: list[Any] = []

    def allocate(alloc: tirx.AllocBuffer) -> tirx.Stmt:
        if _bytes(alloc.buffer) <= stack_bytes or any(alloc.buffer.same_as(buffer) for buffer in on_stack):
            return _on_stack(alloc)
        pointer = _pointer(f"scratch{len(scratch)}", alloc.buffer.ty.dtype)
        scratch.append(alloc.buffer)
        added.append(pointer)
        return tirx.DeclBuffer(alloc.buffer, data=pointer)

    body = tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, allocate))
    params = [pointers[n] for n in range(len(func.params)) if n not in same]
    code = tirx.SeqStmt([*declared, body])
    raw = tirx.PrimFunc([*params, *added], code, ir.PrimType("int32"), attrs=func.attrs)
    # Memory is laid out so that no two parameters overlap, except where both are only read.
    return raw.with_attr({"global_symbol": symbol, "tirx.noalias": True}), scratch


def _with_aligned_spills(func: tirx.PrimFunc, vector_bytes: int) -> tirx.PrimFunc:
    """``func`` with a stack on which vectors that leave the registers lie aligned.

    When LLVM finds that it has to spill, it is too late for it to align the stack, unless something in the frame
    asked for that before; and vectors across two cache lines cost up to a third of a kernel's time. So every frame,
    a parallel loop's too, has a vector whose address is taken, by an instruction that does nothing with it.
    """
    from tvm import tirx

    def aligned(body: tirx.Stmt) -> tirx.Stmt:
        vector = tirx.decl_buffer((1,), f"uint8x{vector_bytes}", "aligned", scope="local")
        taken = tirx.call_llvm_intrin("void", "llvm.prefetch", tirx.address_of(vector[0]), 0, 3, 1)
        return tirx.SeqStmt([_on_stack(tirx.AllocBuffer(vector)), tirx.Evaluate(taken), body])

    def parallel(loop: tirx.For) -> tirx.For:
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, aligned(loop.body))

    return func.with_body(aligned(tasks.replaced(func, parallel).body))


def keep_on_stack(stack_bytes: int) -> tvm.transform.Pass:
    """A pass that lets buffers up to this size stay on the stack, where TVM alone would allocate those above 1 KB."""
    import tvm_ffi
    from tvm import tirx

    def keep(alloc: tirx.AllocBuffer) -> tirx.Stmt:
        return _on_stack(alloc) if alloc.buffer.scope() == "local" and _bytes(alloc.buffer) <= stack_bytes else alloc

    @tirx.transform.prim_func_pass(opt_level=0, name="tvmopt.KeepOnStack")
    def kept(func: tirx.PrimFunc, mod: tvm.IRModule, context: tvm.transform.PassContext) -> tirx.PrimFunc:
        return func.with_body(tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, keep)))

    return kept


def _on_stack(alloc: tirx.AllocBuffer) -> tirx.AllocBuffer:
    from tvm import tirx

    return tirx.AllocBuffer(alloc.buffer, {**alloc.annotations, "disable_lower_builtin": tirx.IntImm("int32", 1)})


def _bytes(buffer: Any) -> int:
    """Of a flat buffer."""
    import tvm

    (elements,) = map(int, buffer.ty.shape)
    dtype = tvm.DataType(str(buffer.ty.dtype))
    return elements * -(-dtype.bits * dtype.lanes // 8)


def _pointer(name: str, dtype: Any) -> Any:
    from tvm import ir

    return ir.Var(name, ir.PointerType(ir.PrimType(str(dtype)), "global"))


def _allocated_in_parallel(body: tirx.Stmt) -> list[Any]:
    """Buffers allocated inside parallel loops: each thread needs its own."""
    import tvm_ffi
    from tvm import tirx

    found: list[Any] = []

    def inside(loop: tirx.For) -> None:
        if loop.kind == tirx.ForKind.PARALLEL:
            tvm_ffi.structural_walk(loop.body, (tirx.AllocBuffer, lambda alloc: found.append(alloc.buffer)))

    tvm_ffi.structural_walk(body, (tirx.For, inside))
    return found

"""Pieces of TIR, for rules that write a function's loops anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from tvm import tirx
from tvm.ir import TensorLoad
from tvm.s_tir.stmt import SBlock
from tvm.tirx import ForKind, PrimFunc, Stmt
from tvm.tirx.analysis import undefined_vars
from tvm_ffi import structural_map, structural_walk

Expr = Any


def loop(extent: Expr, body: Callable[[Expr], Stmt], kind: ForKind = ForKind.UNROLLED) -> Stmt:
    """``for i in range(extent)``."""
    var = tirx.Var("i", "int32")
    return tirx.For(var, tirx.const(0), tirx.convert(extent), kind, body(var))


def sequence(statements: Sequence[Stmt]) -> Stmt:
    """One or several statements as one."""
    return tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]


def at(buffer: Expr, *index: Expr) -> Expr:
    """The address of an element."""
    return tirx.address_of(buffer[index])


def first_lanes(lanes: int, count: Expr) -> Expr:
    """Which lanes are the first ones. An intrinsic: TVM's loop partitioning takes no comparison of vectors."""
    return tirx.call_llvm_pure_intrin(f"boolx{lanes}", "llvm.get.active.lane.mask", tirx.const(0, "int32"), count)


def flat(load: Expr) -> Expr:
    """Which of its buffer's elements is read, counted in the order in which they lie."""
    place: Expr = 0
    for index, extent in zip(load.indices, load.source.shape, strict=True):
        place = place * int(extent) + index
    return place


def unravel(flat: Expr, shape: Sequence[int]) -> list[Expr]:
    """The index into ``shape`` of the element that is ``flat``-th."""
    below = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [flat // b if axis == 0 else flat // b % shape[axis] for axis, b in enumerate(below)]


def substitute(expr: Expr, known: dict[Any, Expr]) -> Expr:
    """``expr`` with other expressions for variables."""
    return structural_map(expr, [(tirx.Var, lambda var: tirx.convert(known[var]) if var in known else var)])


def uses(expr: Expr, var: Expr) -> bool:
    """Whether an expression depends on a variable."""
    return var in set(undefined_vars(expr))


def read_from(expr: Expr, buffer: Expr, element: Callable[[Sequence[Expr]], Expr]) -> Expr:
    """``expr`` with ``element(indices)`` for what it reads of ``buffer``."""
    return structural_map(
        expr, [(TensorLoad, lambda load: element(load.indices) if load.source.same_as(buffer) else load)]
    )


def replaced(func: PrimFunc, name: str, replacement: Callable[[SBlock, SBlock], SBlock]) -> PrimFunc:
    """``func`` with another block in place of one, and of the block of an element within."""

    def change(block: SBlock) -> SBlock:
        if block.name_hint != name:
            return block
        within: list[SBlock] = []
        structural_walk(block.body, (SBlock, within.append))
        return replacement(block, within[-1])

    return func.with_body(structural_map(func.body, (SBlock, change)))

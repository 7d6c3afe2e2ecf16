"""Which functions are worth several threads: starting them and waiting for the last takes longer than a small one."""

from __future__ import annotations

import math
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock
from tvm.tirx import PrimFunc

from ..target import Target

WORTH = 10_000
"""Cycles that a function must take, by the estimate here, which is within a factor of three of what is measured."""

ELEMENT = 16
"""Multiply-adds that take as long as an element of anything else, on which some ten instructions work."""


def grant(mod: tvm.ir.IRModule, target: Target, threads: int) -> tvm.ir.IRModule:
    """``mod`` whose TIR functions have the attribute ``tvmopt.threads``: how many threads they may use, all or one;
    multiprocessors, where they are for a GPU.

    So a function that is too small is that of an artifact of one thread: it has its schedule and its records.
    """

    def number(func: PrimFunc) -> int:
        if target.cuda is not None:
            return target.cuda.multiprocessors
        return threads if threads > 1 and cycles(func, target) >= WORTH else 1

    granted = {
        gv: func.with_attr("tvmopt.threads", number(func)) if isinstance(func, PrimFunc) else func
        for gv, func in mod.functions.items()
    }
    return tvm.ir.IRModule(granted, attrs=mod.attrs)


def cycles(func: PrimFunc, target: Target) -> float:
    """Estimate for an unscheduled function on one core; infinite where data or symbolic shapes decide.

    Of products (block "acc"), as many multiply-adds in a cycle as a vector has bytes: half of what instructions for
    dot products reach, twice of what others do.
    """
    products = 0.0
    others = 0.0
    times = [1.0]
    blocks = [""]

    def loop(node: tirx.For, visitor: Any) -> None:
        times.append(times[-1] * (int(node.extent) if isinstance(node.extent, tirx.IntImm) else math.inf))
        visitor.visit(node.body)
        times.pop()

    def block(node: SBlock, visitor: Any) -> None:
        blocks.append(node.name_hint)
        visitor.visit(node.body)
        blocks.pop()

    def store(node: tirx.BufferStore, visitor: Any) -> None:
        nonlocal products, others
        if blocks[-1] == "acc":
            products += times[-1]
        else:
            others += times[-1]

    tvm_ffi.structural_visit(func.body, [(tirx.For, loop), (SBlock, block), (tirx.BufferStore, store)])
    return (products + ELEMENT * others) / target.vector_bytes

"""Default schedules: every TIR function gets the first of its target's rules that takes it."""

from __future__ import annotations

from importlib import import_module

import tvm
from tvm.tirx import PrimFunc

from ..target import Target


def schedule(mod: tvm.ir.IRModule, target: Target, threads: int) -> tvm.ir.IRModule:
    """Apply the rules that ``target.schedules`` names (``tvmopt.schedules.<name>.rule()``), first match wins.

    Rules find the number of threads that one call may use in the function's attribute ``tvmopt.threads``.
    """
    rules = [import_module(f"tvmopt.schedules.{name}").rule() for name in target.schedules]
    tvm_target = target.tvm()
    scheduled = {}
    for gv, function in mod.functions.items():
        if isinstance(function, PrimFunc):
            function = function.with_attr("tvmopt.threads", threads)
            found = (rule.apply(function, tvm_target, tunable=False) for rule in rules)
            result = next((sch for sch in found if sch is not None), None)
            if result is not None:
                scheduled[gv] = result.mod["main"].with_attrs(function.attrs)
    mod = tvm.ir.IRModule(dict(mod.functions), attrs=mod.attrs)
    mod.update(tvm.ir.IRModule(scheduled))
    return mod

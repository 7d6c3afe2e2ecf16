"""Schedules: every TIR function gets one by the first of its target's rules that takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import tvm
from tvm.tirx import PrimFunc

from ..errors import TargetError
from ..target import Target

Decide = Callable[[str, PrimFunc], Sequence[tuple[str, int]]]
"""Decisions of a rule (its name in ``Target.schedules``) for a function, as (name, value); others are default ones.

The function is as rules get it: unscheduled, with the attribute ``tvmopt.threads``.
"""


def schedule(mod: tvm.ir.IRModule, target: Target, decide: Decide | None = None) -> tvm.ir.IRModule:
    """Apply the rules that ``target.schedules`` names (``tvmopt.schedules.<name>.rule()``), first match wins.

    Rules find the number of threads that one call may use in the function's attribute ``tvmopt.threads``, one without.

    Raises TargetError for a GPU that is too old for one of its rules.
    """
    _check_architecture(target)
    mod = tvm.ir.IRModule(dict(mod.functions), attrs=mod.attrs)
    scheduled = {}
    for gv, function in mod.functions.items():
        if isinstance(function, PrimFunc):
            found = (
                apply(name, function, target, decide(name, function) if decide else ()) for name in target.schedules
            )
            result = next((func for func in found if func is not None), None)
            if result is not None:
                scheduled[gv] = result
    mod.update(tvm.ir.IRModule(scheduled))
    return mod


def _check_architecture(target: Target) -> None:
    """Raise TargetError where a rule's instructions came with a later architecture, its ``oldest``."""
    if target.cuda is None:
        return
    for name in target.schedules:
        oldest = getattr(load(name), "oldest", 0)
        if oldest > target.cuda.number:
            raise TargetError(
                f"target {target.name}: schedule '{name}' needs sm_{oldest} or later, not {target.cuda.arch}"
            )


def apply(rule: str, func: PrimFunc, target: Target, decisions: Sequence[tuple[str, int]] = ()) -> PrimFunc | None:
    """``func`` as a rule schedules it, None where the rule does not take it.

    Raises ValueError for a decision whose value is none of its options.
    """
    asked = func.with_attr("tvmopt.decisions", [list(decision) for decision in decisions]) if decisions else func
    sch = load(rule).apply(asked, target.tvm(), tunable=False)
    return None if sch is None else sch.mod["main"].without_attr("tvmopt.decisions").with_attrs(func.attrs)


def load(rule: str) -> Any:
    """The rule of the module ``tvmopt.schedules.<rule>``."""
    return import_module(f"tvmopt.schedules.{rule}").rule()

"""From models to tasks: the functions of their kernels, each once."""

from __future__ import annotations

import dataclasses
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..model import Model
from ..target import Target
from . import workload
from .task import Choice, Task

if TYPE_CHECKING:
    import tvm
    from tvm import relax
    from tvm.tirx import PrimFunc


CACHED_BYTES = 2**20
"""Of a model's constants that are still in a cache of a core when they are needed again. Second-level caches have 0.5
to 2 MiB; the next ones are shared with whatever else runs."""


def extract(models: Iterable[Model], target: Target, threads: int = 1, sparsity: bool = True) -> list[Task]:
    """Tasks of models after the passes (int8 regions grouped, sparsity folded): functions with decisions to take.

    sparsity : kernels may skip zero weights, see ``lowering.lower``.

    Functions of one workload are one task, whose calls say how often each model calls them.
    """
    from ..lowering.lower import functions

    tasks: dict[str, Task] = {}
    calls: list[Counter[str]] = []
    for model in models:
        mod, _ = functions(model.mod, target, threads, sparsity)
        calls.append(Counter())
        for task in of_module(mod, target).values():
            known = tasks.setdefault(task.workload, task)
            tasks[task.workload] = dataclasses.replace(known, cold=known.cold | task.cold)
            calls[-1][task.workload] += task.weight
    return [dataclasses.replace(task, calls=tuple(one[task.workload] for one in calls)) for task in tasks.values()]


def of_module(mod: tvm.ir.IRModule, target: Target) -> dict[str, Task]:
    """Tasks of a module that ``lowering.lower.functions`` gave, by the name of their function."""
    times = Counter(call.args[0].name_hint for call, _ in called(mod))
    cold = _cold(mod)
    tasks = {}
    for gv, function in mod.functions_items():
        if gv.name_hint in times:
            kind = str(function.attrs.get("tvmopt.kind", gv.name_hint.rstrip(string.digits)))
            task = of(kind, function, target, times[gv.name_hint])
            if task is not None:
                tasks[gv.name_hint] = dataclasses.replace(task, cold=cold.get(gv.name_hint, frozenset()))
    return tasks


def _cold(mod: tvm.ir.IRModule) -> dict[str, frozenset[int]]:
    """The parameters of functions that constants are given for, where the module has more than ``CACHED_BYTES``."""
    from tvm.ir import GenericConst

    from ..quant import cost

    total = 0
    found: dict[str, frozenset[int]] = {}
    for call, _ in called(mod):
        name = call.args[0].name_hint
        constants = {at: arg for at, arg in enumerate(call.args[1].fields) if isinstance(arg, GenericConst)}
        total += sum(cost.nbytes(arg.ty) for arg in constants.values())
        found[name] = found.get(name, frozenset(constants)) & constants.keys()
    return found if total > CACHED_BYTES else {}


def called(mod: tvm.ir.IRModule) -> list[tuple[relax.Call, str]]:
    """The calls of TIR functions in ``main``, and the names of the tensors that they compute, in order."""
    from ..quant.cost import calls
    from ..quant.relax_form.scope import op_name

    return [(call, name) for call, name in calls(mod) if op_name(call) == "relax.call_tir"]


def of(kind: str, func: PrimFunc, target: Target, calls: int = 1) -> Task | None:
    """The task of an unscheduled function with the attribute ``tvmopt.threads``; None without decisions to take.

    kind : what it computes, for people.
    """
    from tvm import ir

    from ..lowering import schedule

    for name in target.schedules:
        rule = schedule.load(name)
        # A copy: once a root block is annotated, TVM's primitives change loops that other functions share with it.
        sch = rule.apply(ir.load_json(ir.save_json(func)), target.tvm(), tunable=True)
        if sch is not None:
            space = _choices(sch.mod["main"].body.block.annotations)
            if not any(len(choice.options) > 1 for choice in space):
                return None
            found = workload.digest(func), _name(kind, func), func, target, workload.fingerprint(target), name
            return Task(*found, str(rule.version), space, (calls,))
    return None


def _choices(annotations: Mapping[str, Any]) -> tuple[Choice, ...]:
    """What the root block of a tunable schedule lists: ``tvmopt.decision.<name>`` = [default, *options]."""
    prefix = "tvmopt.decision."
    found = []
    for key in annotations:
        if key.startswith(prefix):
            default, *options = map(int, annotations[key])
            found.append(Choice(key.removeprefix(prefix), default, tuple(options)))
    return tuple(found)


def _name(kind: str, func: PrimFunc) -> str:
    """Such as "conv 1x32x32x16, 1x3x3x4x16x4 -> 1x32x32x16": what it is, inputs of several axes, and output."""
    shapes = ["x".join(str(getattr(dim, "value", dim)) for dim in param.ty.shape) for param in func.params]
    inputs = [shape for shape in shapes[:-1] if "x" in shape]
    return f"{kind} {', '.join(inputs or shapes[:1])} -> {shapes[-1]}"

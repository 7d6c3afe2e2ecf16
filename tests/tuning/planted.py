"""Schedules, and requests, that go wrong in every way there is. Workers import this by name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tvmopt.tuning import builder

ELEMENTS = 1000

GOOD, WRONG, BEYOND, HANGS, ABORTS, SKIPS, BUILD_FAILS, BUILD_HANGS, BUILD_ABORTS, BUILD_EATS = range(10)
"""What the decision "plant" stands for."""


def serve(setup: str) -> Callable[[str], Any]:
    """Set up a worker: requests say what to do."""
    if setup == "no setup":
        raise RuntimeError("it cannot be set up")

    def act(request: str) -> Any:
        if request == "who":
            return os.getpid()
        if request == "fail":
            raise ValueError("first\nlast")
        return _act({"hang": BUILD_HANGS, "abort": BUILD_ABORTS, "eat": BUILD_EATS}[request])

    return act


def prepare(linker: tuple[str, ...]) -> Any:
    """Set up a worker that builds, and knows the rule "planted"."""
    sys.modules |= MODULES
    return builder.prepare(linker)


def function(addend: int = 1, last: int = ELEMENTS) -> Any:
    """``y = x + addend`` up to ``last``."""
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True, private=True)
    def main(x: T.Buffer((ELEMENTS,), "int32"), y: T.Buffer((ELEMENTS,), "int32")):
        for i in range(last):
            with T.sblock("y"):
                vi = T.axis.spatial(last, i)
                y[vi] = x[vi] + addend

    return main.with_attr("tvmopt.threads", 1)


def calling(name: str) -> Any:
    """``y = x + 1`` after a call of a function of libc."""
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True, private=True)
    def main(x: T.Buffer((ELEMENTS,), "int32"), y: T.Buffer((ELEMENTS,), "int32")):
        T.evaluate(T.call_extern("int32", name))
        for i in range(ELEMENTS):
            with T.sblock("y"):
                vi = T.axis.spatial(ELEMENTS, i)
                y[vi] = x[vi] + 1

    return main


class Rule:
    """Does what it is told."""

    version = 1

    def apply(self, func: Any, target: Any, tunable: bool) -> Any:
        from tvm.s_tir import Schedule
        from tvmopt.schedules._common import Decisions

        sch = Schedule(func)
        what = Decisions(sch, tunable).pick("plant", GOOD, range(10))
        _act(what)
        planted = {
            WRONG: lambda: function(addend=2),
            BEYOND: lambda: function(last=ELEMENTS + 8),
            SKIPS: lambda: function(last=ELEMENTS - 1),
            HANGS: lambda: calling("pause"),
            ABORTS: lambda: calling("abort"),
        }
        return Schedule(planted[what]()) if what in planted else sch


def _act(what: int) -> None:
    if what == BUILD_FAILS:
        raise ValueError("not like this")
    if what == BUILD_HANGS:
        time.sleep(1000)
    if what == BUILD_ABORTS:
        os.abort()
    if what == BUILD_EATS:
        bytearray(2**40)


_module = ModuleType("tvmopt.schedules.planted")
_module.rule = Rule  # type: ignore[attr-defined]
MODULES = {_module.__name__: _module}
"""The rule "planted", for ``sys.modules``."""

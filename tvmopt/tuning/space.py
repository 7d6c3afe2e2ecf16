"""Candidates of a task: which there are, and the scheduled function that each stands for."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from ..errors import TuningError
from .task import Decisions, Task

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


def default(task: Task) -> Decisions:
    """The decisions of the default schedule."""
    return tuple((choice.name, choice.default) for choice in task.space)


def size(task: Task) -> int:
    """How many candidates there are."""
    return math.prod(len(choice.options) for choice in task.space)


def sample(task: Task, rng: random.Random) -> Decisions:
    """Every decision drawn by itself, all of its options equally likely."""
    return tuple((choice.name, rng.choice(choice.options)) for choice in task.space)


def apply(task: Task, decisions: Decisions) -> PrimFunc:
    """The scheduled function.

    Raises TuningError for what is no decision of the task, and where the rule cannot carry it out.
    """
    from ..lowering import schedule

    unknown = {name for name, _ in decisions} - {choice.name for choice in task.space}
    if unknown:
        raise TuningError(f"rule {task.rule} has no decision '{min(unknown)}' for it", node=task.name)
    try:
        func = schedule.apply(task.rule, task.func, task.target, decisions)
    except MemoryError:
        raise
    except Exception as error:  # what TVM raises depends on the primitive that fails
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise TuningError(f"rule {task.rule} cannot do {_text(decisions)}: {reason}", node=task.name) from error
    if func is None:
        raise TuningError(f"rule {task.rule} does not take it", node=task.name)
    return func


def _text(decisions: Decisions) -> str:
    return ", ".join(f"{name} {value}" for name, value in decisions) or "the default schedule"

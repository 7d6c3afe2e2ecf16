"""Where tensors lie in the on-chip memory, and which of them have to wait in DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UnsupportedError
from ...runtime.systolic.commands import PARAMETERS
from ...target import Systolic
from ..plan import Buffer, Plan, place
from .arrange import Arrangement, Memory

ALIGNMENT = 64
"""Bytes; of every tensor."""


@dataclass(frozen=True)
class Buffers:
    """At the bottom of the on-chip memory: two buffers for weights, two for the parameters of a tile's columns."""

    tiles: tuple[int, int]
    columns: tuple[int, int]
    size: int


def weight_buffers(machine: Systolic) -> Buffers:
    """Where they are, and how many bytes all of them take."""
    tile, columns = (aligned(size) for size in (machine.rows * machine.columns, PARAMETERS * machine.columns))
    return Buffers((0, tile), (2 * tile, 2 * tile + columns), 2 * (tile + columns))


def aligned(size: int) -> int:
    """``size`` rounded up."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Placement:
    """Addresses in the on-chip memory.

    Attributes
    ----------
    at     : (memory, step) -> address; for every step that touches the memory.
    extra  : step -> address of the constants that it loads for itself.
    spills : memories that wait in DRAM between the steps that touch them.
    plan   : who lies where, and when.
    """

    at: dict[tuple[Memory, int], int]
    extra: dict[int, int]
    spills: Sequence[Memory]
    plan: Plan


def fit(arrangement: Arrangement, extra: dict[int, int], base: int, size: int) -> Placement:
    """Give every tensor a place between ``base`` and ``size``; what does not fit waits in DRAM, large ones first.

    extra : step -> bytes of constants that it needs besides tensors.

    Raises UnsupportedError where a single step's tensors are too large.
    """
    touched: dict[Memory, list[int]] = {}
    for index, step in enumerate(arrangement.steps):
        for memory in step.memories:
            touched.setdefault(memory, []).append(index)
    spills: list[Memory] = []
    while True:
        placement = _place(touched, spills, extra, base)
        if base + placement.plan.size <= size:
            return placement
        spills.append(_victim(arrangement, touched, spills, extra, base, size))


def _place(touched: dict[Memory, list[int]], spills: list[Memory], extra: dict[int, int], base: int) -> Placement:
    buffers: list[Buffer] = []
    users: list[list[tuple[Memory, int]]] = []
    for memory, steps in touched.items():
        for stay in [[step] for step in steps] if memory in spills else [steps]:
            buffers.append(Buffer(memory.name, memory.size, stay[0], stay[-1]))
            users.append([(memory, step) for step in stay])
    tensors = len(buffers)
    buffers += [Buffer(f"constants of step {step}", size, step, step) for step, size in extra.items()]
    plan = place(buffers, ALIGNMENT)
    at = {user: base + offset for offset, group in zip(plan.offsets, users, strict=False) for user in group}
    constants = {step: base + offset for offset, step in zip(plan.offsets[tensors:], extra, strict=True)}
    return Placement(at, constants, spills, plan)


def _victim(
    arrangement: Arrangement,
    touched: dict[Memory, list[int]],
    spills: list[Memory],
    extra: dict[int, int],
    base: int,
    size: int,
) -> Memory:
    """The largest tensor that only waits during the step at which most bytes are needed."""

    def alive(step: int) -> list[Memory]:
        return [
            memory
            for memory, steps in touched.items()
            if (step in steps if memory in spills else steps[0] <= step <= steps[-1])
        ]

    def needed(step: int) -> int:
        return sum(memory.size for memory in alive(step)) + extra.get(step, 0)

    for step in sorted(range(len(arrangement.steps)), key=needed, reverse=True):
        waiting = [memory for memory in alive(step) if step not in touched[memory]]
        if waiting:
            return max(waiting, key=lambda memory: memory.size)
    step = max(range(len(arrangement.steps)), key=needed)
    raise UnsupportedError(
        f"needs {(base + needed(step)) / 1024:.0f} KiB of on-chip memory, the accelerator has {size / 1024:.0f}",
        node=arrangement.steps[step].source.output.name,
    )

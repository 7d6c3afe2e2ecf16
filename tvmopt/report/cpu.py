"""What a model costs on a CPU that is not at hand: memory, and, where its instructions are counted, time and energy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..model import Model
from ..target import ActivePower, Target
from . import energy, metrics

_MADE_UP = re.compile(r"[lg]v\d*")


class Step(Protocol):
    """What a compiled model does: computes a tensor by a kernel, in so many instructions, if they were counted."""

    @property
    def name(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def instructions(self) -> int | None: ...


class Footprint(Protocol):
    """What a model was compiled to."""

    @property
    def flash_bytes(self) -> int: ...
    @property
    def ram_bytes(self) -> int: ...
    @property
    def steps(self) -> Sequence[Step]: ...


@dataclass(frozen=True)
class CpuLayer:
    """A step of an inference, or several between tensors that the model has a name for; None where it is not known.

    Attributes
    ----------
    name : of the tensor that it computes.
    op   : what it does: of all ops that are fused in it.
    """

    name: str
    op: str
    macs: int
    instructions: int | None
    latency_us: float | None
    energy_uj: float | None


@dataclass(frozen=True)
class CpuEstimate:
    """One inference; None where it is not known.

    Attributes
    ----------
    method       : where the numbers come from.
    latency_us   : instructions, by the target file's clock and cycles for each.
    energy_uj    : of that time, by the target file's power.
    instructions : executed by its kernels, counted in the target's emulator.
    flash_bytes  : kernels with their tables, and constants.
    ram_bytes    : the workspace; the caller's inputs and outputs are not in it.
    unknown      : what is None, and why.
    """

    model: str
    target: str
    method: str
    latency_us: float | None
    energy_uj: float | None
    instructions: int | None
    macs: int
    flash_bytes: int | None
    ram_bytes: int | None
    unknown: Mapping[str, str]
    layers: Sequence[CpuLayer]


def estimate(regions: Model, target: Target, footprint: Footprint | None, uncounted: str) -> CpuEstimate:
    """Sum up the steps of a model.

    regions   : the model as its passes left it, which tells what each step does.
    footprint : None for one that was not compiled.
    uncounted : why there is none, or why instructions were not counted; "" where they were.
    """
    power = target.energy if isinstance(target.energy, ActivePower) else None
    steps = [] if footprint is None else footprint.steps
    instructions = None if uncounted else sum(step.instructions or 0 for step in steps)
    latency, joules = _cost(instructions, power)
    unknown = dict.fromkeys(("flash_bytes", "ram_bytes"), uncounted) if footprint is None else {}
    if instructions is None:
        unknown["instructions"] = uncounted
    if latency is None:
        unknown |= dict.fromkeys(("latency_us", "energy_uj"), uncounted or energy.unknown(target))
    return CpuEstimate(
        model=regions.source,
        target=target.name,
        method="not compiled" if footprint is None else _method(target, uncounted, power),
        latency_us=latency,
        energy_uj=joules,
        instructions=instructions,
        macs=metrics.summary(regions).macs_after_folding,
        flash_bytes=None if footprint is None else footprint.flash_bytes,
        ram_bytes=None if footprint is None else footprint.ram_bytes,
        unknown=unknown,
        layers=[_layer(*one, power) for one in _grouped(steps, metrics.layers(regions, {}))],
    )


def _method(target: Target, uncounted: str, power: ActivePower | None) -> str:
    if uncounted:
        return "compiled, not run"
    assert target.emulator is not None
    counted = f"instructions counted by {target.emulator.command[0]}"
    if power is None:
        return counted
    each = f"{power.cycles_per_instruction:g} cycles each at {power.clock_mhz} MHz"
    return f"{counted}, {each} and {power.active_mw:g} mW"


def _cost(instructions: int | None, power: ActivePower | None) -> tuple[float | None, float | None]:
    """Microseconds and microjoules."""
    if instructions is None or power is None:
        return None, None
    latency = energy.time_us(instructions, power)
    return latency, energy.of_time_uj(latency, power)


def _layer(steps: Sequence[Step], ops: Sequence[metrics.Layer], power: ActivePower | None) -> CpuLayer:
    counts = [step.instructions for step in steps if step.instructions is not None]
    instructions = sum(counts) if counts else None
    latency, joules = _cost(instructions, power)
    names = [op.op for op in ops if op.where != "move"] or [op.op for op in ops] or [step.kernel for step in steps]
    return CpuLayer(steps[-1].name, " + ".join(names), sum(op.macs for op in ops), instructions, latency, joules)


def _grouped(
    steps: Sequence[Step], ops: Sequence[metrics.Layer]
) -> list[tuple[Sequence[Step], Sequence[metrics.Layer]]]:
    """Steps, and the ops that they compute.

    An op that no step is named after is fused into the next one that has a step. A step that is named after no op, as
    those that TVM fuses are, computes a part of what the next one with a name does. Names that TVM makes up, which are
    others before and after lowering, are none.
    """
    known = {step.name for step in steps if not _MADE_UP.fullmatch(step.name)}
    computed: dict[str, list[metrics.Layer]] = {}
    waiting: list[metrics.Layer] = []
    for op in ops:
        waiting.append(op)
        if op.name in known:
            computed[op.name], waiting = waiting, []
    found: list[tuple[Sequence[Step], Sequence[metrics.Layer]]] = []
    pending: list[Step] = []
    for step in steps:
        pending.append(step)
        if step.name in computed:
            found.append((pending, computed.pop(step.name)))
            pending = []
    if pending:
        found.append((pending, waiting))
    elif found:
        found[-1] = found[-1][0], [*found[-1][1], *waiting]
    return found

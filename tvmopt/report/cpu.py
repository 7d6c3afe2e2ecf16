"""What a model costs on a CPU that is not at hand: memory, and, where its instructions are counted, time and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..model import Model
from ..target import ActivePower, Target
from . import energy, metrics


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
    """One step of an inference; None where it is not known.

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
    ops = _ops_of_steps(metrics.layers(regions, {}), steps)
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
        layers=[_layer(step, computed, power) for step, computed in zip(steps, ops, strict=True)],
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


def _layer(step: Step, ops: Sequence[metrics.Layer], power: ActivePower | None) -> CpuLayer:
    latency, joules = _cost(step.instructions, power)
    names = [op.op for op in ops if op.where != "move"] or [op.op for op in ops] or [step.kernel]
    macs = sum(op.macs for op in ops)
    return CpuLayer(step.name, " + ".join(names), macs, step.instructions, latency, joules)


def _ops_of_steps(ops: Sequence[metrics.Layer], steps: Sequence[Step]) -> list[list[metrics.Layer]]:
    """By step, the ops that it computes: the one of its name, and those before it that have no step of their own, since
    they are fused into it; what comes after the last step of a name, the last step computes."""
    number = {step.name: at for at, step in enumerate(steps)}
    found: list[list[metrics.Layer]] = [[] for _ in steps]
    waiting: list[metrics.Layer] = []
    for op in ops:
        waiting.append(op)
        if op.name in number:
            found[number[op.name]] += waiting
            waiting = []
    if found:
        found[-1] += waiting
    return found

"""What work costs: time and energy, by the figures of a target file (docs/energy.md tells how good they are)."""

from __future__ import annotations

from ..runtime.systolic import Cost
from ..target import ActivePower, EventCosts, Target


def unknown(target: Target) -> str:
    """Why there is no energy of a target without figures."""
    return f"target {target.name} has no [energy]: there are no figures of it that could be checked"


def time_us(instructions: int, power: ActivePower) -> float:
    """What instructions take on a microcontroller."""
    return instructions * power.cycles_per_instruction / power.clock_mhz


def of_time_uj(us: float, power: ActivePower) -> float:
    """What a microcontroller uses in that time."""
    return us * power.active_mw / 1e3


def of_layer_uj(layer: Cost, costs: EventCosts) -> float:
    """What a layer on a systolic array uses."""
    picojoules = (
        layer.macs * costs.pj_per_mac
        + layer.accumulator_bytes * costs.pj_per_accumulator_byte
        + (layer.chip_read_bytes + layer.chip_write_bytes) * costs.pj_per_chip_byte
        + (layer.dram_read_bytes + layer.dram_write_bytes) * costs.pj_per_dram_byte
    )
    return picojoules / 1e6

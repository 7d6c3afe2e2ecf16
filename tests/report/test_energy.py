"""Time and energy of counted work: examples computed by hand, and what the targets' figures give."""

from __future__ import annotations

import pytest

from tvmopt import target as targets
from tvmopt.report import energy
from tvmopt.runtime.systolic import Cost
from tvmopt.target import ActivePower, EventCosts


def test_a_microcontroller_by_hand() -> None:
    """A million instructions of 1.5 cycles at 100 MHz take 15 ms; at 40 mW these are 600 uJ."""
    power = ActivePower(clock_mhz=100, active_mw=40.0, cycles_per_instruction=1.5, source="")
    assert energy.time_us(1_000_000, power) == pytest.approx(15_000)
    assert energy.of_time_uj(15_000, power) == pytest.approx(600)


def test_a_layer_of_an_array_by_hand() -> None:
    """2 * 0.5 of multiply-accumulates, 3 * 1 of sums, (5 + 7) * 2 on chip, (11 + 13) * 100 in DRAM: pJ."""
    costs = EventCosts(
        pj_per_mac=0.5, pj_per_accumulator_byte=1.0, pj_per_chip_byte=2.0, pj_per_dram_byte=100.0, source=""
    )
    layer = Cost(
        "y", "conv", macs=2, cycles=0, array_cycles=0, vector_cycles=0, stall_cycles=0, utilisation=0.0,
        dram_read_bytes=11, dram_write_bytes=13, chip_read_bytes=5, chip_write_bytes=7, accumulator_bytes=3,
    )  # fmt: skip
    assert energy.of_layer_uj(layer, costs) == pytest.approx(2428e-6)


def test_figures_say_where_they_come_from() -> None:
    sources = [found.energy.source for name in targets.names()[1:] if (found := targets.get(name)).energy is not None]
    assert len(sources) >= 4
    assert all("docs/energy.md" in source for source in sources)


def test_targets_without_figures_are_named() -> None:
    assert energy.unknown(targets.get("arm/cortex-m55")).startswith("target arm/cortex-m55 has no [energy]: ")

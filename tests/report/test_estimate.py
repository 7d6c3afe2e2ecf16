"""What accelerators cost that are simulated."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

import tvmopt
from tvmopt import demo
from tvmopt import target as targets
from tvmopt.errors import UnsupportedError

TARGET = "edge/systolic-64x64"


def test_sums_are_those_of_the_layers() -> None:
    found = tvmopt.estimate(demo.INT8_MODEL, TARGET)
    assert found.macs == tvmopt.inspect(demo.INT8_MODEL).macs_after_folding
    assert found.cycles == sum(layer.cycles for layer in found.layers)
    assert found.cycles == found.array_cycles + found.vector_cycles + found.stall_cycles
    assert found.latency_us == found.cycles / 480
    assert found.utilisation == found.macs / (found.cycles * 64 * 64)


def test_folding_dead_channels_saves_what_they_cost() -> None:
    folded, whole = (tvmopt.estimate(demo.INT8_MODEL, TARGET, sparsity=sparsity) for sparsity in (True, False))
    assert folded.macs < whole.macs
    assert folded.dram_read_bytes < whole.dram_read_bytes
    assert folded.energy_uj < whole.energy_uj


def test_simulated_accelerators_are_not_timed() -> None:
    for model in (demo.INT8_MODEL, tvmopt.compile(demo.INT8_MODEL, TARGET)):
        with pytest.raises(UnsupportedError, match=rf"the accelerator of {TARGET} is simulated, and is not timed"):
            tvmopt.bench(model, TARGET)


def test_energy_is_that_of_the_layers() -> None:
    found = tvmopt.estimate(demo.INT8_MODEL, TARGET)
    figures = targets.get(TARGET).energy
    assert isinstance(figures, targets.EventCosts)
    events = (found.macs, found.accumulator_bytes, found.chip_read_bytes + found.chip_write_bytes)
    costs = (figures.pj_per_mac, figures.pj_per_accumulator_byte, figures.pj_per_chip_byte, figures.pj_per_dram_byte)
    dram = found.dram_read_bytes + found.dram_write_bytes
    total = sum(cost * count for cost, count in zip(costs, (*events, dram), strict=True))
    assert found.energy_uj == pytest.approx(total / 1e6)
    assert found.energy_uj == pytest.approx(sum(layer.energy_uj for layer in found.layers))
    assert found.unknown == {}
    assert found.flash_bytes > found.constant_bytes


def test_an_array_without_figures_has_no_energy() -> None:
    array = replace(targets.get(TARGET), name="my/array", energy=None)
    found = tvmopt.estimate(demo.INT8_MODEL, array)
    assert found.energy_uj is None and {layer.energy_uj for layer in found.layers} == {None}
    assert found.unknown["energy_uj"].startswith("target my/array has no [energy]")


def test_models_of_which_nothing_is_taken() -> None:
    with pytest.raises(UnsupportedError, match=r"takes nothing of it \('.*': it takes or gives float tensors"):
        tvmopt.estimate(demo.FLOAT_MODEL, TARGET)

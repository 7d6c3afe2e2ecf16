"""What accelerators cost that are simulated."""

from __future__ import annotations

import pytest

import tvmopt
from tvmopt import demo
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


def test_simulated_accelerators_are_not_timed() -> None:
    for model in (demo.INT8_MODEL, tvmopt.compile(demo.INT8_MODEL, TARGET)):
        with pytest.raises(UnsupportedError, match=rf"the accelerator of {TARGET} is simulated, and is not timed"):
            tvmopt.bench(model, TARGET)


def test_targets_without_an_accelerator() -> None:
    with pytest.raises(UnsupportedError, match="target x86/generic has no accelerator"):
        tvmopt.estimate(demo.INT8_MODEL, "x86/generic")


def test_models_of_which_nothing_is_taken() -> None:
    with pytest.raises(UnsupportedError, match=r"takes nothing of it \('.*': it takes or gives float tensors"):
        tvmopt.estimate(demo.FLOAT_MODEL, TARGET)

"""What Vela expects, as ``tvmopt.estimate`` tells it."""

from __future__ import annotations

import pytest

import tvmopt
from tvmopt import demo
from tvmopt.errors import UnsupportedError

from .harness import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_sums_are_those_of_the_layers_and_the_artifacts(name: str) -> None:
    found = tvmopt.estimate(demo.INT8_MODEL, name)
    assert found.macs + found.host_macs == tvmopt.inspect(demo.INT8_MODEL).macs_after_folding
    assert found.cycles >= found.npu_cycles > 0
    for layer in found.layers:
        assert layer.cycles >= max(layer.npu_cycles, layer.sram_cycles, layer.dram_cycles, layer.flash_cycles)
        assert 0 <= layer.utilisation <= 1
    told = tvmopt.compile(demo.INT8_MODEL, name).manifest["accelerator"]
    assert {key: one.cycles for key, one in found.subgraphs.items()} == {
        key: one["cycles"] for key, one in told["estimates"].items()
    }
    assert (found.cycles, found.latency_us) == tuple(
        sum(one[key] for one in told["estimates"].values()) for key in ("cycles", "inference_us")
    )
    assert found.host_reasons == told["host_reasons"]


def test_folding_dead_channels_saves_what_they_cost() -> None:
    folded, whole = (tvmopt.estimate(demo.INT8_MODEL, FAMILIES[0], sparsity=sparsity) for sparsity in (True, False))
    assert folded.macs < whole.macs
    assert folded.cycles < whole.cycles


def test_models_of_which_nothing_is_taken() -> None:
    with pytest.raises(UnsupportedError, match=r"takes nothing of it \('.*': it takes or gives float tensors"):
        tvmopt.estimate(demo.FLOAT_MODEL, FAMILIES[0])

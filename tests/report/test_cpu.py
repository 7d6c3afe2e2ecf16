"""What models cost on CPUs that are not at hand."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import tvmopt
from tests import tools
from tvmopt import target as targets
from tvmopt.api.common import grouped
from tvmopt.errors import UnsupportedError
from tvmopt.model import Model
from tvmopt.report import cpu
from tvmopt.report.cpu import CpuEstimate

from .models import residual

M4 = targets.get("arm/cortex-m4")


@dataclass(frozen=True)
class Step:
    name: str
    kernel: str
    instructions: int | None


@dataclass(frozen=True)
class Footprint:
    flash_bytes: int
    ram_bytes: int
    steps: tuple[Step, ...]


@functools.cache
def regions() -> Model:
    return grouped(tvmopt.load(residual().SerializeToString()), M4, sparsity=True)


def of(*steps: Step) -> CpuEstimate:
    """``residual`` compiled to these steps."""
    return cpu.estimate(regions(), M4, Footprint(1000, 100, steps), "")


def test_fused_ops_are_their_steps() -> None:
    """q1: 36 pixels * 8 channels * 27; q2, which the addition is fused with: 36 * 8 * 8; logits: 288 * 4."""
    steps = Step("q0", "quantize", 100), Step("q1", "conv", 400), Step("q3", "conv_add", 300), Step("y", "end", 200)
    found = of(*steps)
    assert [layer.macs for layer in found.layers] == [0, 7776, 2304, 1152]
    assert found.macs == 7776 + 2304 + 1152
    assert [layer.op for layer in found.layers][:3] == ["quantize", "conv 3x3", "conv 1x1 + add"]
    assert found.layers[3].op.startswith("matmul + dequantize")
    assert found.instructions == 1000
    power = M4.energy
    assert isinstance(power, targets.ActivePower)
    us = 1000 * power.cycles_per_instruction / power.clock_mhz
    assert found.latency_us == pytest.approx(us)
    assert found.energy_uj == pytest.approx(us * power.active_mw / 1000)
    assert sum(layer.energy_uj or 0 for layer in found.layers) == pytest.approx(found.energy_uj)
    assert found.unknown == {}


def test_steps_without_a_name_are_parts_of_the_next() -> None:
    """Of lv and q3 one is the convolution, whichever; what comes after the last name is the last step's."""
    steps = Step("lv", "a", 50), Step("q1", "b", 10), Step("lv1", "c", 5), Step("q3", "d", 20), Step("lv2", "e", 7)
    found = of(*steps)
    assert [(layer.name, layer.macs, layer.instructions) for layer in found.layers] == [
        ("q1", 7776, 60), ("q3", 2304, 25), ("lv2", 1152, 7)
    ]  # fmt: skip
    assert found.instructions == 92
    last = of(Step("q0", "a", 1), Step("q3", "b", 1), Step("y", "c", 1), Step("out", "copy", 1)).layers[-1]
    assert (last.name, last.op, last.macs) == ("out", "copy", 0)


@given(st.lists(st.sampled_from(["q0", "q1", "q2", "q3", "q4", "y", "lv", "gv1", "other"]), min_size=1))
def test_nothing_is_lost_or_counted_twice(names: list[str]) -> None:
    found = of(*(Step(name, "kernel", 1 << number) for number, name in enumerate(names)))
    assert sum(layer.macs for layer in found.layers) == found.macs == 11_232
    assert sum(layer.instructions or 0 for layer in found.layers) == found.instructions == (1 << len(names)) - 1


def test_models_are_ranked_as_their_measured_energies_are(mlperf_tiny: dict[str, Path]) -> None:
    """Those of MLPerf Tiny on the STM32L4R5 (v1.2, STMicroelectronics), whose kernels are faster: docs/energy.md."""
    tools.need(*tools.BARE_METAL)
    measured = {"ad": 203.4, "kws": 1820.5, "vww": 3894.6, "ic": 6919.4}
    found = {name: tvmopt.estimate(mlperf_tiny[name], M4) for name in measured}
    energies = {name: one.energy_uj or 0.0 for name, one in found.items()}
    assert sorted(energies, key=energies.__getitem__) == list(measured)
    for name, one in found.items():
        assert 1 < energies[name] / measured[name] < 3.5
        assert one.macs == sum(layer.macs for layer in one.layers)
        assert one.instructions == sum(layer.instructions or 0 for layer in one.layers)
        assert one.macs == tvmopt.inspect(mlperf_tiny[name]).macs_after_folding


def test_what_pruning_saves_shows(mlperf_tiny: dict[str, Path], tmp_path: Path) -> None:
    """Dead channels cost nothing any more, zeros that kernels skip cost less of all; weights stored without their zeros
    cost the least flash, and the most energy."""
    tools.need(*tools.BARE_METAL)
    folded, whole = (tvmopt.estimate(mlperf_tiny["vww"], M4, sparsity=way) for way in (True, False))
    assert folded.energy_uj < 0.7 * whole.energy_uj
    assert (folded.macs, whole.macs) == (3_730_157, 7_489_664)
    assert folded.flash_bytes < 0.5 * whole.flash_bytes
    pruned = tmp_path / "pruned.onnx"
    tvmopt.compress(mlperf_tiny["ad"], pruned, prune="unstructured:0.8")
    dense, skipped, packed = (
        tvmopt.estimate(pruned, M4, **ways) for ways in ({"sparsity": False}, {}, {"compress_weights": True})
    )
    assert packed.flash_bytes < 0.65 * skipped.flash_bytes < 0.65 * dense.flash_bytes
    assert packed.energy_uj > dense.energy_uj > 1.5 * skipped.energy_uj


def test_what_is_not_known_is_none_and_says_why() -> None:
    model = residual().SerializeToString()
    m85 = tvmopt.estimate(model, "arm/cortex-m85")
    assert (m85.latency_us, m85.energy_uj, m85.instructions) == (None, None, None)
    assert set(m85.unknown) == {"latency_us", "energy_uj", "instructions"}
    assert set(m85.unknown.values()) == {"target arm/cortex-m85 has no emulator that counts instructions"}
    assert m85.flash_bytes > 0 and m85.ram_bytes > 0 and m85.macs == 11_232
    gpu = tvmopt.estimate(model, "cuda/sm_80")
    assert (gpu.flash_bytes, gpu.ram_bytes, gpu.macs) == (None, None, 11_232)
    assert set(gpu.unknown) == {"flash_bytes", "ram_bytes", "latency_us", "energy_uj", "instructions"}


def test_a_target_without_figures_still_has_instructions() -> None:
    tools.need(*tools.BARE_METAL)
    found = tvmopt.estimate(residual().SerializeToString(), "arm/cortex-m55")
    assert found.instructions is not None and found.instructions > 0
    assert found.method == "instructions counted by qemu-system-arm"
    assert set(found.unknown) == {"latency_us", "energy_uj"}
    assert found.unknown["energy_uj"].startswith("target arm/cortex-m55 has no [energy]")


def test_models_that_need_tvm_to_run_say_so() -> None:
    """Sorting is a function of TVM's runtime."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])
    outs = [
        helper.make_tensor_value_info("v", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("i", TensorProto.INT64, [3]),
    ]
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"])
    k = helper.make_tensor("k", TensorProto.INT64, [1], np.array([3], np.int64).tobytes(), raw=True)
    graph = helper.make_graph([node], "top", [x], outs, [k])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    found = tvmopt.estimate(model, "x86/avx2")
    assert found.flash_bytes is None
    assert found.unknown["flash_bytes"].startswith("it needs TVM to run: ")
    with pytest.raises(UnsupportedError):
        tvmopt.estimate(model, M4)


def test_what_is_refused() -> None:
    model = residual().SerializeToString()
    for name in ("x86/avx2", "edge/systolic-64x64"):
        with pytest.raises(UnsupportedError, match=f"compress_weights is for microcontrollers, and {name} is none"):
            tvmopt.estimate(model, name, compress_weights=True)

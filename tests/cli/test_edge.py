"""compile, estimate and verify for an Ethos-U, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_commands import run, run_json

pytest.importorskip("tosa_serializer")
pytest.importorskip("ethosu.vela")


def test_compile_names_estimates_as_velas(mlperf_tiny, tmp_path: Path) -> None:
    says = run("compile", mlperf_tiny["kws"], "-t", "edge/ethos-u55-128", "-o", tmp_path / "kws")
    assert "100.00% of the multiply-accumulates in 1 subgraph(s)" in says
    assert "Vela 5.2.0's estimates, ethos_u: " in says
    assert "it takes or gives float tensors\n" in says
    assert "model_npu.c says how to build it" in says
    assert {"model.h", "model_npu.c", "model_npu.S", "ethos_u.tosa"} <= {p.name for p in (tmp_path / "kws").iterdir()}


def test_compile_writes_subgraphs_as_mlir(mlperf_tiny, tmp_path: Path) -> None:
    run("compile", mlperf_tiny["kws"], "-t", "edge/ethos-u55-128", "--emit", "tosa-mlir", "-o", tmp_path / "kws")
    assert "tosa.conv2d" in (tmp_path / "kws" / "ethos_u.mlir").read_text()
    assert {"model_kernels.o", "ethos_u.tosa"} <= {p.name for p in (tmp_path / "kws").iterdir()}


def test_estimate_prints_every_layer_as_velas(mlperf_tiny) -> None:
    says = run("estimate", mlperf_tiny["kws"], "-t", "edge/ethos-u65-256")
    assert "Vela 5.2.0's estimates for ethos-u65-256, Ethos_U65_High_End, Dedicated_Sram_384KB, without its" in says
    found = run_json("estimate", mlperf_tiny["kws"], "-t", "edge/ethos-u65-256")
    assert found["method"] in says
    assert found["energy_uj"] is None and found["flash_bytes"] > 0 and found["ram_bytes"] > 0
    assert "unknown       energy_uj: there are no figures of ethos-u65-256 that could be checked\n" in says
    assert f"cycles        {found['cycles']:,}: the NPU at work {found['npu_cycles']:,}\n" in says
    for layer in found["layers"]:
        assert {layer["name"], f"{layer['macs']:,}", f"{layer['cycles']:,}"} <= set(says.split())
    for reason in set(found["host_reasons"].values()):
        names = [name for name, why in found["host_reasons"].items() if why == reason]
        assert f"on the host   {', '.join(names)}: {reason}\n" in says


def test_verify_says_what_executed(mlperf_tiny) -> None:
    sizes = ("--samples", "3", "--layer-samples", "1")
    found = run_json("verify", mlperf_tiny["kws"], "-t", "edge/ethos-u85-256", *sizes)
    assert (found["samples"], found["top1_agreement"]) == (3, 1.0)
    assert found["max_lsb"] <= 1
    told = found["accelerator"]
    assert told["accelerated_macs"] == told["macs"]
    assert "execution on an NPU is not verified" in told["executed_by"]
    assert set(told["estimates"]) == set(told["subgraphs"])

"""Arm's compiler for Ethos-U, Vela, as a command: a TOSA file in, command stream, weights and estimates out."""

from __future__ import annotations

import configparser
import csv
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...errors import TargetError, UnsupportedError
from ...target import EthosU
from ...target_file import near


@dataclass(frozen=True)
class Memory:
    """A memory that a command stream addresses: which of the driver's base addresses, and its size."""

    region: int
    bytes: int


@dataclass(frozen=True)
class Place:
    """Where an input or output of a command stream lies: offset within the memory of a region."""

    region: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """What Vela expects, by its own README only an estimate.

    Attributes
    ----------
    cycles       : of the whole, memory accesses overlapping; ``npu_cycles`` of the multiply-accumulate engine alone.
    macs         : that the NPU is given, with those that fill its blocks not counted.
    *_bytes      : memory in use: on-chip SRAM; DRAM; flash.
    weight_bytes : weights as they are stored, compressed.
    """

    cycles: int
    npu_cycles: int
    inference_us: float
    macs: int
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class Layer:
    """Vela's estimate for one operator.

    Attributes
    ----------
    name        : of the ONNX value that it is for; several operators may be.
    cycles      : the most that any of ``npu_cycles`` and the accesses to a memory (``*_cycles``) take.
    utilisation : ``macs``, of those that the NPU could have done in ``cycles``.
    """

    name: str
    op: str
    cycles: int
    npu_cycles: int
    sram_cycles: int
    dram_cycles: int
    flash_cycles: int
    macs: int
    utilisation: float


@dataclass(frozen=True)
class Compiled:
    """What the driver of the NPU is given.

    Attributes
    ----------
    commands : the payload that ``ethosu_invoke`` takes.
    weights  : constants, compressed, and ``weights_region``, theirs.
    scratch  : memory for activations, in which inputs and outputs lie.
    fast     : faster memory that it uses besides; of 0 bytes where there is none.
    """

    commands: bytes
    weights: bytes
    weights_region: int
    scratch: Memory
    fast: Memory
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    estimate: Estimate
    layers: tuple[Layer, ...]


def compile(tosa: bytes, accelerator: EthosU, name: str) -> Compiled:
    """Compile a TOSA 1.0 file of ops that ``support`` takes.

    name : of the subgraph, for errors.

    Raises TargetError for a system configuration or memory mode that Vela does not know, UnsupportedError for a graph
    that it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        path = Path(folder) / "subgraph.tosa"
        path.write_bytes(tosa)
        options = {
            "--accelerator-config": accelerator.config,
            "--config": accelerator.config_file,
            "--system-config": accelerator.system_config,
            "--memory-mode": accelerator.memory_mode,
            "--output-format": "raw",
            "--output-dir": folder,
        }
        command = [sys.executable, "-m", "ethosu.vela", str(path), "--verbose-performance"]
        command += [word for option in options.items() for word in option]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise _refused(done.stdout + done.stderr, accelerator, name)
        return _read(Path(folder))


def version_name() -> str:
    """What estimates are labelled with."""
    return f"Vela {version('ethos-u-vela')}'s estimates"


def _refused(output: str, accelerator: EthosU, name: str) -> TargetError | UnsupportedError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    says = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "nothing")
    for key in ("system_config", "memory_mode", "config_file"):
        if getattr(accelerator, key) in says:
            value, known = getattr(accelerator, key), _known(accelerator.config_file, key)
            return TargetError(
                f"Vela does not know {key} '{value}': {says}", hint=near(value, known) if known else None
            )
    return UnsupportedError(f"Vela refuses the subgraph: {says}", node=name)


def _known(config_file: str, key: str) -> list[str]:
    """The names that a configuration file of Vela's has for a key of ours: its sections are [System_Config.name]."""
    config = configparser.ConfigParser()
    config.read([config_file, str(resources.files("ethosu") / "config_files" / config_file)])
    return [name for kind, _, name in (section.partition(".") for section in config.sections()) if kind.lower() == key]


def _read(folder: Path) -> Compiled:
    with np.load(folder / "subgraph_vela.npz") as raw:
        commands, weights = raw["cmd_data"].tobytes(), raw["weight_data"].tobytes()
        weights_region = int(raw["weight_region"])
        scratch, fast = (
            Memory(int(raw[f"{key}_region"]), int(raw[f"{key}_size"])) for key in ("scratch", "scratch_fast")
        )
        inputs, outputs = (
            tuple(
                Place(int(region), int(offset), int(size) * int(np.prod(shape)))
                for region, offset, size, shape in zip(
                    *(raw[f"{key}_{part}"] for part in ("region", "offset", "elem_size", "shape")), strict=True
                )
            )
            for key in ("input", "output")
        )
    (summary,) = csv.DictReader(next(folder.glob("*_summary_*.csv")).open())
    kib = {
        key: round(1024 * float(summary[f"{key}_memory_used"]))
        for key in ("sram", "dram", "on_chip_flash", "off_chip_flash")
    }
    estimate = Estimate(
        cycles=int(float(summary["cycles_total"])),
        npu_cycles=int(float(summary["cycles_npu"])),
        inference_us=float(summary["inference_time"]) * 1e6,
        macs=int(float(summary["nn_macs"])),
        sram_bytes=kib["sram"],
        dram_bytes=kib["dram"],
        flash_bytes=kib["on_chip_flash"] + kib["off_chip_flash"],
        weight_bytes=int(float(summary["total_npu_encoded_weights"])),
    )
    layers = tuple(_layer(row) for row in csv.DictReader((folder / "subgraph_per-layer.csv").open()))
    return Compiled(commands, weights, weights_region, scratch, fast, inputs, outputs, estimate, layers)


def _layer(row: dict[str, str]) -> Layer:
    number = {key: int(float(row[key])) for key in ("Op Cycles", "NPU", "SRAM AC", "DRAM AC", "MAC Count")}
    return Layer(
        name=row["Name"].rpartition("#")[0] or row["Name"],
        op=row["NNG Operator"],
        cycles=number["Op Cycles"],
        npu_cycles=number["NPU"],
        sram_cycles=number["SRAM AC"],
        dram_cycles=number["DRAM AC"],
        flash_cycles=int(float(row["OnFlash AC"])) + int(float(row["OffFlash AC"])),
        macs=number["MAC Count"],
        utilisation=float(row["Util% (MAC)"]) / 100,
    )

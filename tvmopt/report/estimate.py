"""What a model costs on an accelerator that is simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from ..runtime.systolic import Cost, Program, costs
from ..target import EventCosts, Target
from . import energy


@dataclass(frozen=True)
class Layer(Cost):
    """One layer; its energy is None where the target file has no figures."""

    energy_uj: float | None


@dataclass(frozen=True)
class Estimate:
    """The accelerator's part of one inference.

    Attributes
    ----------
    method         : what the numbers are of.
    latency_us     : ``cycles`` at the accelerator's clock; the host's part is not in it.
    energy_uj      : of the array and its memories, neither idle nor host's power; None where that is not known.
    flash_bytes    : constants and commands.
    ram_bytes      : of DRAM, for tensors that the on-chip memory has no room for; inputs and outputs are not in it.
    unknown        : what is None, and why.
    macs           : multiply-accumulates that the accelerator does for the model.
    cycles         : with the array at work (``array_cycles``), the vector unit (``vector_cycles``), or neither, because
                     they wait for data (``stall_cycles``).
    utilisation    : macs, of those that the array could have done in ``cycles``.
    constant_bytes : weights, parameters and tables in DRAM.
    dram_read_bytes, dram_write_bytes, chip_read_bytes, chip_write_bytes, accumulator_bytes : see ``Cost``.
    host_reasons   : tensor -> why its op is the host's.
    layers         : in order.
    """

    model: str
    target: str
    method: str
    latency_us: float
    energy_uj: float | None
    flash_bytes: int
    ram_bytes: int
    macs: int
    cycles: int
    array_cycles: int
    vector_cycles: int
    stall_cycles: int
    utilisation: float
    constant_bytes: int
    dram_read_bytes: int
    dram_write_bytes: int
    chip_read_bytes: int
    chip_write_bytes: int
    accumulator_bytes: int
    unknown: Mapping[str, str]
    host_reasons: Mapping[str, str]
    layers: Sequence[Layer]


def estimate(model: str, target: Target, programs: Sequence[Program], host_reasons: Mapping[str, str]) -> Estimate:
    """Sum up the layers of the subgraphs of a model; there is at least one."""
    machine = programs[0].machine
    figures = target.energy if isinstance(target.energy, EventCosts) else None
    layers = [
        Layer(**asdict(cost), energy_uj=None if figures is None else energy.of_layer_uj(cost, figures))
        for program in programs
        for cost in costs(program)
    ]
    total = {f.name: sum(getattr(layer, f.name) for layer in layers) for f in fields(Cost) if f.type == "int"}
    return Estimate(
        model=model,
        target=target.name,
        method=f"simulated: {machine.rows}x{machine.columns} array at {machine.clock_mhz} MHz, without its host",
        latency_us=total["cycles"] / machine.clock_mhz,
        energy_uj=None if figures is None else sum(layer.energy_uj or 0.0 for layer in layers),
        flash_bytes=sum(len(program.encode()) for program in programs),
        ram_bytes=sum(spill.size for program in programs for spill in program.spills),
        unknown={"energy_uj": energy.unknown(target)} if figures is None else {},
        utilisation=total["macs"] / (total["cycles"] * machine.rows * machine.columns),
        constant_bytes=sum(len(program.constants) for program in programs),
        host_reasons=host_reasons,
        layers=layers,
        **total,
    )

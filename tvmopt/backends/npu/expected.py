"""What Vela expects a model to cost on an Ethos-U."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...model import Model
from ...target import EthosU, Target
from . import facts, vela
from .part import Part


@dataclass(frozen=True)
class Expected:
    """The NPU's part of one inference. By Vela's own README its figures are only estimates.

    Attributes
    ----------
    method       : whose estimates these are, and for what.
    latency_us, cycles, npu_cycles : sums over ``subgraphs``; the host's part is not in them.
    energy_uj    : None, since Arm publishes no figures of it that could be checked: ``unknown`` tells so.
    flash_bytes  : the NPU's command streams and weights, as they are stored.
    ram_bytes    : memory that the NPU's driver is given for activations.
    macs         : multiply-accumulates that the NPU does for the model; ``host_macs`` those that it does not.
    host_reasons : tensor -> why its op is the host's.
    subgraphs    : Vela's summary of each, by name.
    layers       : of all subgraphs, in order.
    """

    model: str
    target: str
    method: str
    latency_us: float
    energy_uj: None
    flash_bytes: int
    ram_bytes: int
    cycles: int
    npu_cycles: int
    macs: int
    host_macs: int
    unknown: Mapping[str, str]
    host_reasons: Mapping[str, str]
    subgraphs: Mapping[str, vela.Estimate]
    layers: Sequence[vela.Layer]


def expected(model: Model, target: Target, parts: Mapping[str, Part]) -> Expected:
    """Compile the subgraphs of a partitioned model, of which there is at least one, and sum up what Vela expects.

    Raises what ``vela.compile`` does.
    """
    assert isinstance(target.accelerator, EthosU)
    compiled = [part.compiled for part in parts.values()]
    npu, told = target.accelerator, facts.describe(model, target, parts)
    summaries = {name: part.compiled.estimate for name, part in parts.items()}
    return Expected(
        model=model.source,
        target=target.name,
        method=f"{vela.version_name()} for {npu.config}, {npu.system_config}, {npu.memory_mode}, without its host",
        energy_uj=None,
        flash_bytes=sum(len(one.commands) + len(one.weights) for one in compiled),
        ram_bytes=max(one.scratch.bytes + one.fast.bytes for one in compiled),
        unknown={"energy_uj": f"there are no figures of {npu.config} that could be checked"},
        latency_us=sum(one.inference_us for one in summaries.values()),
        cycles=sum(one.cycles for one in summaries.values()),
        npu_cycles=sum(one.npu_cycles for one in summaries.values()),
        macs=told["accelerated_macs"],
        host_macs=told["macs"] - told["accelerated_macs"],
        host_reasons=model.host_reasons,
        subgraphs=summaries,
        layers=[layer for one in compiled for layer in one.layers],
    )

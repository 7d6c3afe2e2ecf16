"""What an artifact tells of its NPU, and whether it fits the target's memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...errors import UnsupportedError
from ...model import Model
from ...target import EthosU, Target
from . import vela
from .part import Part

EXECUTION = "TOSA reference model, with the host's part on this machine; execution on an NPU is not verified"


def describe(model: Model, target: Target, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Of a partitioned model: what is the NPU's, what is not and why, how its results are computed here."""
    assert isinstance(target.accelerator, EthosU)
    partition = next(record.after for record in model.history if record.name == "Partition")
    return {
        "config": target.accelerator.config,
        "executed_by": EXECUTION,
        "subgraphs": list(parts),
        "macs": partition["macs"],
        "accelerated_macs": partition["accelerated_macs"],
        "host_reasons": model.host_reasons,
    }


def compiled(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Of every subgraph: Vela's estimates; the convolutions that an Ethos-U85 does in its sparse mode; where in the
    memory of its command stream inputs and outputs lie."""
    return {
        "estimated_by": vela.version_name(),
        "estimates": {name: asdict(part.compiled.estimate) for name, part in parts.items()},
        "two_of_four": {name: two_of_four(part) for name, part in parts.items()},
        "places": {
            name: {
                "inputs": [asdict(place) for place in part.compiled.inputs],
                "outputs": [asdict(place) for place in part.compiled.outputs],
            }
            for name, part in parts.items()
        },
    }


def two_of_four(part: Part) -> list[str]:
    """Convolutions of which Vela counts half of the multiplications: an Ethos-U85 does them in its sparse mode.

    Their weights have two zeros in every four neighbouring input channels, and are never -128; but Vela 5.2.0 keeps
    some layers dense whose weights comply.
    """
    needed, given = Counter[str](), Counter[str]()
    for node in part.graph.nodes:
        if node.op == "CONV2D":
            needed[node.output.name.rpartition("#")[0]] += math.prod(node.output.shape) * math.prod(
                node.inputs[1].shape[1:]
            )
    for layer in part.compiled.layers:
        given[layer.name] += layer.macs
    return [name for name, macs in needed.items() if 2 * given[name] == macs]


def check_memory(model: Model, target: Target, parts: Mapping[str, Part]) -> None:
    """Raise UnsupportedError where weights do not fit the target's flash, or a subgraph's activations its SRAM."""
    assert isinstance(target.accelerator, EthosU)
    memory, mode = target.memory, target.accelerator.memory_mode
    constants = sum(len(part.compiled.weights) + len(part.compiled.commands) for part in parts.values())
    if memory.flash_kib is not None and constants > 1024 * memory.flash_kib:
        reason = f"weights and commands take {_kib(constants)}, target {target.name} has {memory.flash_kib} KiB"
        raise UnsupportedError(f"{reason} for them (memory mode {mode})", file=model.source)
    for name, part in parts.items():
        used = part.compiled.estimate.sram_bytes
        if memory.sram_kib is not None and used > 1024 * memory.sram_kib:
            reason = f"it needs {_kib(used)} of on-chip memory, target {target.name} has {memory.sram_kib} KiB"
            raise UnsupportedError(reason, file=model.source, node=name)


def _kib(size: int) -> str:
    return f"{-(-size // 1024)} KiB"

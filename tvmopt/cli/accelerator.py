"""What people are told of an accelerator: how much of a model is its own, who executed it, what Vela expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMED = 4
"""How many of the ops that stay with the host for one reason are named."""


def host_lines(reasons: Mapping[str, str]) -> list[str]:
    """Why ops stay with the host, a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"on the host   {_some(found)}: {reason}" for reason, found in names.items()]


def _some(names: list[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


def lines(told: dict[str, Any]) -> list[str]:
    """The manifest's entry, a line each; of a simulated array only what is not its own; of none (empty) nothing."""
    if "executed_by" not in told:
        return host_lines(told.get("host_reasons", {}))
    share = told["accelerated_macs"] / max(told["macs"], 1)
    parts = f"{len(told['subgraphs'])} subgraph(s), {len(told['host_reasons'])} ops stay with the host"
    found = [
        f"NPU           {told['config']}: {share:.2%} of the multiply-accumulates in {parts}",
        f"executed by   {told['executed_by']}",
    ]
    found += host_lines(told["host_reasons"])
    for name, estimate in told.get("estimates", {}).items():
        memory = {"SRAM": "sram_bytes", "DRAM": "dram_bytes", "flash": "flash_bytes"}
        used = [f"{estimate[key] / 1024:.0f} KiB {where}" for where, key in memory.items() if estimate[key]]
        cycles = f"{estimate['cycles']} cycles, {estimate['inference_us'] / 1000:.3f} ms"
        found.append(f"{told['estimated_by']}, {name}: {cycles}; {', '.join(used)}")
    return found

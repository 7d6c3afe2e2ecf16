"""What people are told of an Ethos-U: how much of a model is its own, who executed it, what Vela expects."""

from __future__ import annotations

from typing import Any


def lines(told: dict[str, Any]) -> list[str]:
    """The manifest's entry, a line each; without an Ethos-U none."""
    if "executed_by" not in told:
        return []
    share = told["accelerated_macs"] / max(told["macs"], 1)
    parts = f"{len(told['subgraphs'])} subgraph(s), {len(told['host_reasons'])} ops stay with the host"
    found = [
        f"NPU           {told['config']}: {share:.2%} of the multiply-accumulates in {parts}",
        f"executed by   {told['executed_by']}",
    ]
    for name, estimate in told.get("estimates", {}).items():
        memory = {"SRAM": "sram_bytes", "DRAM": "dram_bytes", "flash": "flash_bytes"}
        used = [f"{estimate[key] / 1024:.0f} KiB {where}" for where, key in memory.items() if estimate[key]]
        cycles = f"{estimate['cycles']} cycles, {estimate['inference_us'] / 1000:.3f} ms"
        found.append(f"{told['estimated_by']}, {name}: {cycles}; {', '.join(used)}")
    return found

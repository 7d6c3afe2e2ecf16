"""What the plan of an artifact's memory tells: as plain data for the manifest, as text for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .image import Image
from .layout import Place


def facts(image: Image) -> dict[str, Any]:
    """The plan of the workspace: region, offset, bytes, first and last step of each buffer."""
    layout = image.layout
    return {
        "workspace_bytes": layout.workspace_bytes,
        "workspace_lower_bound": sum(plan.lower_bound for plan in layout.plans.values()),
        "regions": {region: plan.size for region, plan in layout.plans.items()},
        "weights_bytes": layout.weights_bytes,
        "packed_weights": [asdict(saving) for saving in image.savings],
        "steps": _steps(image),
        "buffers": [
            {"name": b.name, "region": region, "offset": at, "bytes": b.size, "first": b.first, "last": b.last}
            for region, plan in layout.plans.items()
            for b, at in zip(plan.buffers, plan.offsets, strict=True)
        ],
    }


def text(image: Image) -> str:
    """Where every buffer of the workspace lives, and when: from which step to which; and what the steps are."""
    program, layout = image.program, image.layout
    lines = []
    for region, plan in layout.plans.items():
        lines += [f"{region}: {plan.report()}", ""]
    lines.append("steps")
    for step, (call, does) in enumerate(zip(program.calls, _steps(image), strict=True)):
        reads, writes = (
            ", ".join(f"{program.tensors[t].name} ({_where(image, layout.places[t])})" for t in tensors)
            for tensors in ([t for t in call.reads if program.tensors[t].data is None], call.writes)
        )
        lines.append(f"{step:>5}  {does}: {reads} -> {writes}")
    if image.savings:
        saved = sum(saving.dense_bytes - saving.bytes for saving in image.savings)
        instructions = sum(saving.instructions for saving in image.savings)
        lines += ["", f"packed weights: {saved} bytes saved, about {instructions} instructions to unpack them"]
        lines += [
            f"{s.step:>5}  {s.dense_bytes} -> {s.bytes} bytes, {s.instructions} instructions" for s in image.savings
        ]
    return "\n".join(lines)


def _steps(image: Image) -> list[str]:
    """What each step runs."""
    return [symbol or "put beside each other" for symbol in image.symbols]


def _where(image: Image, place: Place) -> str:
    if place.memory == "workspace":
        return f"{image.layout.workspaces[place.number]} at {place.at}"
    return f"{place.memory}[{place.number}]" + (f" at {place.at}" if place.at else "")

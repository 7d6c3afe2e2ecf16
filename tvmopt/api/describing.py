"""What is known without running anything: inspect, estimate, the targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnsupportedError
from ..model import Model
from .artifacts import accelerated, as_model, partitioned
from .common import grouped, stage

if TYPE_CHECKING:
    from ..backends.npu.expected import Expected
    from ..report.estimate import Estimate
    from ..report.inspect import Inspection
    from ..target import Target
    from .common import Source


def inspect(model: Model | Source, target: str | Path | Target | None = None, *, sparsity: bool = True) -> Inspection:
    """Tell what a model is made of: where it runs in int8 and where in float and why, its MACs, bytes and zeros.

    target : also tell which weights kernels for it take as sparse, and why not the others.
    """
    from .. import lowering
    from .. import target as targets
    from ..report import inspect as inspection

    model = as_model(model)
    found = None if target is None else targets.get(target)
    regions, formats = grouped(model, found, sparsity), {}
    if found is not None and sparsity:
        host = regions if found.accelerator is None else partitioned(regions, found)
        with stage(f"lowering for {found.name}", model.source):
            formats = lowering.formats(host, found)
    with stage("inspecting", model.source):
        return inspection.inspect(regions, "" if found is None else found.name, formats)


def estimate(
    model: Model | Source, target: str | Path | Target = "host", *, sparsity: bool = True
) -> Estimate | Expected:
    """Tell what a model costs on a target's accelerator, layer by layer.

    A systolic array is simulated: cycles, stalls, traffic and utilisation. For an Ethos-U these are Vela's estimates.

    Raises UnsupportedError for a target without an accelerator, and for a model of which it takes nothing.
    """
    from .. import backends, frontend
    from .. import target as targets
    from ..report import estimate as estimation

    model, found = as_model(model), targets.get(target)
    if found.accelerator is None:
        raise UnsupportedError(f"target {found.name} has no accelerator", hint="see tvmopt bench")
    frontend.require_static(model)
    partitioned, programs = accelerated(model, found, sparsity)
    if not programs:
        node, reason = next(iter(partitioned.host_reasons.items()))
        raise UnsupportedError(
            f"the accelerator of {found.name} takes nothing of it", file=model.source, hint=f"'{node}': {reason}"
        )
    with stage(f"estimating for {found.name}", model.source):
        if isinstance(found.accelerator, targets.EthosU):
            return backends.expected(partitioned, found, programs)
        return estimation.estimate(model.source, found.name, list(programs.values()), partitioned.host_reasons)


def list_targets() -> list[Target]:
    """All targets that come with tvmopt."""
    from .. import target as targets

    return [targets.get(name) for name in targets.names() if name != "host"]

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
    from ..report.cpu import CpuEstimate
    from ..report.estimate import Estimate
    from ..report.inspect import Inspection
    from ..target import Target
    from .common import Source


def inspect(model: Model | Source, target: str | Path | Target | None = None, *, sparsity: bool = True) -> Inspection:
    """Tell what a model is made of: where it runs in int8 and where in float and why, its MACs, bytes and zeros.

    target : also tell which weights kernels for it take as sparse, and why not the others.
    """
    from .. import backends, lowering
    from .. import target as targets
    from ..report import inspect as inspection

    model = as_model(model)
    found = None if target is None else targets.get(target)
    regions, formats = grouped(model, found, sparsity), {}
    if found is not None and sparsity:
        host = regions if found.accelerator is None else partitioned(regions, found)
        with stage(f"lowering for {found.name}", model.source):
            formats = {**lowering.formats(host, found), **backends.formats(host, found)}
    with stage("inspecting", model.source):
        return inspection.inspect(regions, "" if found is None else found.name, formats)


def estimate(
    model: Model | Source,
    target: str | Path | Target = "host",
    *,
    sparsity: bool = True,
    compress_weights: bool = False,
) -> Estimate | Expected | CpuEstimate:
    """Tell what one inference costs on a target, layer by layer, without that device: latency, energy, memory.

    A systolic array is simulated: cycles, stalls, traffic and utilisation. For an Ethos-U these are Vela's estimates.
    Both are of the accelerator's part of the model. For a CPU the model is compiled; where the target has an emulator
    that counts instructions, it runs there. Energy is computed from figures of the target file. What is not known is
    None, and ``unknown`` tells why.

    compress_weights : see ``compile``; refused for anything but a microcontroller.

    Raises UnsupportedError for a model of which the target's accelerator takes nothing, for one with symbolic shapes,
    and where ``compile`` does for a microcontroller.
    """
    from .. import frontend
    from .. import target as targets

    model, found = as_model(model), targets.get(target)
    frontend.require_static(model)
    if compress_weights and (found.backend != "static_c" or found.accelerator is not None):
        raise UnsupportedError(f"compress_weights is for microcontrollers, and {found.name} is none", file=model.source)
    if found.accelerator is not None:
        return _on_accelerator(model, found, sparsity)
    return _on_cpu(model, found, sparsity, compress_weights)


def _on_accelerator(model: Model, target: Target, sparsity: bool) -> Estimate | Expected:
    from .. import backends
    from ..report import estimate as estimation
    from ..target import EthosU

    partitioned, programs = accelerated(model, target, sparsity)
    if not programs:
        node, reason = next(iter(partitioned.host_reasons.items()))
        raise UnsupportedError(
            f"the accelerator of {target.name} takes nothing of it", file=model.source, hint=f"'{node}': {reason}"
        )
    with stage(f"estimating for {target.name}", model.source):
        if isinstance(target.accelerator, EthosU):
            return backends.expected(partitioned, target, programs)
        return estimation.estimate(model.source, target, list(programs.values()), partitioned.host_reasons)


def _on_cpu(model: Model, target: Target, sparsity: bool, compress_weights: bool) -> CpuEstimate:
    from .. import backends, lowering
    from ..report import cpu

    regions = grouped(model, target, sparsity)
    if target.cuda is not None:
        return cpu.estimate(regions, target, None, "its kernels are a GPU's: tvmopt bench times them on it")
    with stage(f"lowering for {target.name}", model.source):
        lowered = lowering.lower(regions, target, 1, sparsity and not compress_weights)
    with stage(f"estimating for {target.name}", model.source):
        try:
            footprint = backends.footprint(lowered, target, backends.Embedded(compress_weights=compress_weights))
        except UnsupportedError as error:
            if target.backend == "static_c":
                raise
            return cpu.estimate(regions, target, None, f"it needs TVM to run: {error.reason}")
        return cpu.estimate(regions, target, footprint, footprint.uncounted)


def list_targets() -> list[Target]:
    """All targets that come with tvmopt."""
    from .. import target as targets

    return [targets.get(name) for name in targets.names() if name != "host"]

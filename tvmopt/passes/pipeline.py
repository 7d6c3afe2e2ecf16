"""The passes from an imported model to int8 regions, in order."""

from __future__ import annotations

import tvm
from tvm import relax

from ..errors import InternalError
from ..model import Model, PassRecord
from ..quant.cost import counts
from .canonicalize import Canonicalize
from .fold_dead_channels import FoldDeadChannels
from .fuse_pad import FusePad
from .group_regions import FLOAT_REASONS, GroupRegions
from .hoist_quantize import HoistQuantize
from .sink_dequantize import SinkDequantize


def passes(sparsity: bool = True) -> list[tvm.transform.Pass]:
    """What ``run`` applies. Each is an ordinary Relax pass."""
    grouping = [
        # One way to write things
        Canonicalize(),
        # Moves on int8
        HoistQuantize(),
        SinkDequantize(),
        # Regions
        FusePad(),
        GroupRegions(),
    ]
    # Work that is known to give constants
    folding = [FoldDeadChannels()]
    return grouping + folding if sparsity else grouping


def run(model: Model, *, sparsity: bool = True) -> Model:
    """Apply the passes to an imported model: its int8 regions become composite functions.

    sparsity : also remove channels that are constant or unused; never changes a result bit.

    Appends one PassRecord per pass that changed something, and fills ``float_reasons``.

    Raises InternalError, naming the pass and those already run, when a pass fails.
    """
    mod, history = model.mod, list(model.history)
    done: list[str] = []
    before = counts(mod)
    for step in passes(sparsity):
        name = str(step.info.name).removeprefix("tvmopt.")
        try:
            mod = step(mod)
        except Exception as error:
            stage = f"running pass {name} (already run: {', '.join(done) or 'none'})"
            raise InternalError(stage, model.source, error) from error
        after = counts(mod)
        if after != before:
            history.append(PassRecord(name, before, after))
        before = after
        done.append(name)
    reasons = {str(value): str(reason) for value, reason in dict(mod.get_attr(FLOAT_REASONS) or {}).items()}
    return model.replace(mod=mod, history=tuple(history), float_reasons={**model.float_reasons, **reasons})


@tvm.transform.module_pass(opt_level=0, name="tvmopt")
def _registered(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
    return tvm.transform.Sequential(passes())(mod)


relax.register_pipeline("tvmopt")(lambda: _registered)

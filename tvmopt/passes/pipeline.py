"""The passes from an imported model to int8 regions, in order."""

from __future__ import annotations

from typing import Literal

import tvm
from tvm import relax

from ..errors import InternalError
from ..model import Model, PassRecord
from ..quant.cost import counts
from ..quant.regions import Requantize
from .canonicalize import Canonicalize
from .compose_tables import ComposeTables
from .fold_dead_channels import FoldDeadChannels
from .fuse_pad import FusePad
from .group_regions import FLOAT_REASONS, GroupRegions
from .hoist_quantize import HoistQuantize
from .mark_patterns import MarkPatterns
from .permute_channels import PermuteChannels
from .quantize_outputs import QuantizeOutputs
from .sink_dequantize import SinkDequantize
from .strip_edges import StripEdges, described

Io = Literal["onnx", "int8", "int8-inputs"]
"""Inputs and outputs: as the ONNX model has them, or as the 8-bit tensors that it makes of both, or of its inputs."""


def passes(
    sparsity: bool = True,
    io: Io = "onnx",
    requantize: Requantize = "float",
    borders: bool = True,
    softmax: Requantize | None = None,
) -> list[tvm.transform.Pass]:
    """What ``run`` applies. Each is an ordinary Relax pass."""
    return [
        # One way to write things
        Canonicalize(),
        *([QuantizeOutputs()] if io == "int8" else []),
        # Moves on int8
        HoistQuantize(),
        SinkDequantize(),
        *([StripEdges(outputs=io == "int8")] if io != "onnx" else []),
        # Regions
        FusePad(),
        GroupRegions(requantize, softmax),
        ComposeTables(),
        # Work that is known to give constants
        *([FoldDeadChannels(borders)] if sparsity else []),
        # Zeros where kernels can skip them
        *([PermuteChannels(), MarkPatterns()] if sparsity else []),
    ]


def run(
    model: Model,
    *,
    sparsity: bool = True,
    io: Io = "onnx",
    requantize: Requantize = "float",
    borders: bool = True,
    softmax: Requantize | None = None,
) -> Model:
    """Apply the passes to an imported model: its int8 regions become composite functions.

    sparsity : also remove channels that are constant or unused; never changes a result bit.
    io       : "int8" strips the quantization of inputs and the dequantization of outputs, after it has quantized those
               that QuantizeOutputs knows; "int8-inputs" strips that of inputs only.
    requantize : the arithmetic of the regions, and ``softmax`` that of softmax, where it is another.
    borders  : convolutions may have a ``Border``.

    Appends one PassRecord per pass that changed something, and fills ``float_reasons``.

    Raises InternalError, naming the pass and those already run, when a pass fails; UnsupportedError for an input or
    output that is float for another reason than that.
    """
    mod, history = model.mod, list(model.history)
    done: list[str] = []
    before = counts(mod)
    for step in passes(sparsity, io, requantize, borders, softmax):
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
    model = model.replace(mod=mod, history=tuple(history), float_reasons={**model.float_reasons, **reasons})
    return model if io == "onnx" else described(model)


@tvm.transform.module_pass(opt_level=0, name="tvmopt")
def _registered(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
    return tvm.transform.Sequential(passes())(mod)


relax.register_pipeline("tvmopt")(lambda: _registered)

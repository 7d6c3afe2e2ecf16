"""What a model is made of, op by op and in sum: where it runs, and its MACs, bytes and zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..model import Model

if TYPE_CHECKING:
    from ..quant.regions import Region

Where = Literal["int8", "float", "move"]


@dataclass(frozen=True)
class Layer:
    """One op of a model that the passes have grouped.

    Attributes
    ----------
    name   : the ONNX value that it computes.
    op     : what it does: a region's kind, or the name of a Relax op.
    where  : "int8" integer arithmetic; "float"; "move" no arithmetic at all, in whatever type the data has.
    reason : why it runs in float; "" where it does not.
    """

    name: str
    op: str
    where: Where
    reason: str
    macs: int
    weight_bytes: int
    weights: int
    zero_weights: int
    dead_channels: int


@dataclass(frozen=True)
class Summary:
    """Sums over a model, before and after dead channels were folded.

    zero_fraction : of 8-bit weights that equal their zero point, before folding; 0 without such weights.
    dead_channels : output channels of only zeros, before folding.
    """

    macs: int
    macs_after_folding: int
    weight_bytes: int
    weight_bytes_after_folding: int
    zero_fraction: float
    dead_channels: int
    quantized_ops: int
    float_ops: int


def layers(model: Model) -> list[Layer]:
    """Every op of a grouped model, in order."""
    from ..quant.cost import call_cost, calls, composite_kind, computes_in_float
    from ..quant.relax_form import from_function
    from ..quant.relax_form.scope import op_name

    found = []
    for call, name in calls(model.mod):
        op, where, reason = op_name(call).removeprefix("relax."), "move", ""
        if composite_kind(model.mod, call) is not None:
            region = from_function(model.mod[call.op])
            op, where = (op if region is None else describe(region)), "int8"
        elif computes_in_float(call):
            where, reason = "float", model.float_reasons.get(name, "")
        found.append(Layer(str(name), str(op), where, reason, **call_cost(model.mod, call)))  # type: ignore[arg-type]
    return found


def describe(region: Region) -> str:
    """A region in a few words: "conv 3x3 depthwise", "table: sigmoid"."""
    from ..quant.regions import Binary, Conv, MatMul, Pool, Table

    if isinstance(region, Conv):
        size = "x".join(map(str, region.weight.shape[2:]))
        words = [f"conv {size}", "transposed" if region.transposed else ""]
        depthwise = region.groups == region.weight.shape[0] and region.groups > 1
        words.append("depthwise" if depthwise else f"{region.groups} groups" if region.groups > 1 else "")
        return " ".join(word for word in words if word)
    if isinstance(region, Binary):
        return region.op
    if isinstance(region, Pool):
        return f"{region.op} pool {'x'.join(map(str, region.kernel))}"
    if isinstance(region, Table):
        return f"table: {', '.join(region.ops) or 'requantize'}"
    if isinstance(region, MatMul) and region.weight is None:
        return "matmul of activations"
    return region.kind


def summary(model: Model) -> Summary:
    """The sums of a grouped model."""
    from ..quant.cost import counts

    now = counts(model.mod)
    fold = next((record for record in model.history if record.name == "FoldDeadChannels"), None)
    before = now if fold is None else fold.before
    after = now if fold is None else fold.after
    return Summary(
        before["macs"],
        after["macs"],
        before["weight_bytes"],
        after["weight_bytes"],
        before["zero_weights"] / before["weights"] if before["weights"] else 0.0,
        before["dead_channels"],
        now["regions"],
        now["float_ops"],
    )

"""What a model is made of, op by op and in sum: where it runs, and its MACs, bytes and zeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ..model import Model

if TYPE_CHECKING:
    from ..quant.regions import Region
    from ..quant.sparsity import Zeros

Where = Literal["int8", "float", "move"]


@dataclass(frozen=True)
class Saving:
    """What an op would cost less, were zeros of its weight left out; activation_bytes : of its result."""

    macs: int
    weight_bytes: int
    activation_bytes: int = 0


@dataclass(frozen=True)
class Layer:
    """One op of a model that the passes have grouped.

    Attributes
    ----------
    name   : the ONNX value that it computes.
    op     : what it does: a region's kind, or the name of a Relax op.
    where  : "int8" integer arithmetic; "float"; "move" no arithmetic at all, in whatever type the data has.
    reason : why it runs in float; "" where it does not.
    dead_channels    : output channels of its weight with nothing but zeros; dead_inputs: likewise.
    zero_tiles       : four neighbouring outputs that are all zero for an input, where half of its weight is.
    zero_blocks      : "outputs x inputs" -> share of such blocks of its weight that are all zero.
    pattern          : "2:4" or "1:4" where its weight has at most so many of 4 input channels; else "".
    removed_channels : how many channels of its result were folded away.
    savings          : what it would save to leave out its dead "channels" (outputs and inputs), its zero blocks, or
                       what its pattern leaves free.
    kept_channels    : why it has channels that are constant, or that nothing reads; "" where it has none.
    format           : whether its weight is taken as sparse, in which form, or why not; "" where it has no zeros, or
                       no target was asked about.
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
    zero_tiles: int = 0
    dead_inputs: int = 0
    zero_blocks: dict[str, float] = field(default_factory=dict)
    pattern: str = ""
    savings: dict[str, Saving] = field(default_factory=dict)
    removed_channels: int = 0
    kept_channels: str = ""
    format: str = ""


@dataclass(frozen=True)
class Summary:
    """Sums over a model, before and after dead channels were folded.

    activation_bytes : of all tensors that ops write, were they all kept.
    peak_bytes : the most bytes of them that are needed at a time, inputs and outputs apart: an arena's lower bound.
    zero_fraction : of 8-bit weights that equal their zero point, before folding; 0 without such weights.
    dead_channels : output channels of only zeros, before folding.
    """

    macs: int
    macs_after_folding: int
    weight_bytes: int
    weight_bytes_after_folding: int
    activation_bytes: int
    activation_bytes_after_folding: int
    peak_bytes: int
    peak_bytes_after_folding: int
    zero_fraction: float
    dead_channels: int
    quantized_ops: int
    float_ops: int


def layers(model: Model, formats: Mapping[str, str]) -> list[Layer]:
    """Every op of a grouped model, in order. formats : of weights on a target, by the value that the op computes."""
    from ..quant.cost import call_costs, calls, composite_kind, computes_in_float, nbytes
    from ..quant.regions import Conv, MatMul, WeightOnly
    from ..quant.relax_form import from_function
    from ..quant.relax_form.scope import op_name
    from ..quant.sparsity import analyse

    removed, kept = (dict(model.mod.get_attr(f"tvmopt.{name}_channels") or {}) for name in ("removed", "kept"))
    found = []
    for (call, name), cost in zip(calls(model.mod), call_costs(model.mod), strict=True):
        layer = Layer(
            name=str(name),
            op=str(op_name(call)).removeprefix("relax."),
            where="float" if computes_in_float(call) else "move",
            reason=model.float_reasons.get(name, ""),
            **cost,  # type: ignore[arg-type]
            removed_channels=int(removed.get(name, 0)),
            kept_channels=str(kept.get(name, "")),
            format=formats.get(str(name), ""),
        )
        if composite_kind(model.mod, call) is not None:
            region = from_function(model.mod[call.op])
            layer = replace(layer, op=layer.op if region is None else describe(region), where="int8", reason="")
            if isinstance(region, WeightOnly):
                layer = replace(layer, where="float", reason="only its weight is quantized")
            if isinstance(region, (Conv, MatMul)) and region.weight is not None:
                zeros = analyse(region)
                layer = replace(
                    layer,
                    dead_inputs=zeros.dead_inputs,
                    zero_blocks=zeros.zero_blocks,
                    pattern=zeros.pattern,
                    savings=savings(zeros, layer.macs, nbytes(call.ty)),
                )
        found.append(layer)
    return found


def savings(zeros: Zeros, macs: int, result_bytes: int) -> dict[str, Saving]:
    """What leaving out zeros would save, by how they lie: MACs and weights where they are, results of dead outputs."""
    outputs, inputs, _ = zeros.shape
    live = (1 - zeros.dead_outputs / outputs) * (1 - zeros.dead_inputs / inputs)
    free = {"channels": 1 - live, **zeros.zero_blocks}
    if zeros.pattern:
        n, m = map(int, zeros.pattern.split(":"))
        free[zeros.pattern] = 1 - n / m
    dead_bytes = result_bytes * zeros.dead_outputs // outputs
    return {
        name: Saving(round(share * macs), round(share * zeros.weights), dead_bytes if name == "channels" else 0)
        for name, share in free.items()
        if share
    }


def total(ops: Iterable[Layer]) -> dict[str, Saving]:
    """The savings of several ops, kind by kind; those of the most MACs first."""
    sums: dict[str, Saving] = {}
    for kind, saved in (item for op in ops for item in op.savings.items()):
        so_far = sums.get(kind, Saving(0, 0))
        sums[kind] = Saving(*(a + b for a, b in zip(astuple(so_far), astuple(saved), strict=True)))
    return dict(sorted(sums.items(), key=lambda item: -item[1].macs))


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
    from ..quant.regions import WeightOnly

    now = counts(model.mod)
    fold = next((record for record in model.history if record.name == "FoldDeadChannels"), None)
    before = now if fold is None else fold.before
    after = now if fold is None else fold.after
    return Summary(
        before["macs"],
        after["macs"],
        before["weight_bytes"],
        after["weight_bytes"],
        before["activation_bytes"],
        after["activation_bytes"],
        before["peak_bytes"],
        after["peak_bytes"],
        before["zero_weights"] / before["weights"] if before["weights"] else 0.0,
        before["dead_channels"],
        now["regions"] - now.get(WeightOnly.kind, 0),
        now["float_ops"] + now.get(WeightOnly.kind, 0),
    )

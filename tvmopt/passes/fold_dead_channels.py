"""Channels that are constant, or that nothing reads, disappear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import tvm

from ..quant.regions import Conv, MatMul
from ..quant.relax_form.scope import Expr, Var
from .channel_rewriter import ChannelRewriter, Step, without_unused_composites
from .channels import Contraction, Effect
from .graph import Graph, Rewriter, rewrite

REMOVED_CHANNELS = "tvmopt.removed_channels"
"""Module attribute: ONNX value name -> how many of its channels were removed."""

KEPT_CHANNELS = "tvmopt.kept_channels"
"""Module attribute: ONNX value name -> why it has channels that are constant or that nothing reads."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.FoldDeadChannels")
class FoldDeadChannels:
    """Rewrites, through the whole graph at once::

        region(x), y[:, c] the same for every input -> region without c; c in the bias of what reads y
        region(x), y[:, c] read by nothing          -> region without c
        region(x), x[:, c] multiplied by zeros      -> region without c in its weight
        add(x, y), all of y constant                -> add(x), y inside

    Bit-exact: what a constant channel adds to a sum is added to its int32 bias. Where that differs from place to place,
    since the channel meets a border that is padded with another value, it becomes a ``Border`` of the convolution that
    reads it, if that takes no more bytes than the weights which go; else the channel stays.
    borders : whether what compiles the regions knows borders.

    How many channels of a tensor went goes into the module's attribute ``tvmopt.removed_channels``; why constant or
    unread ones stay, where some do, into ``tvmopt.kept_channels``.
    """

    def __init__(self, borders: bool = True) -> None:
        self.borders = borders

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        removed: dict[str, int] = {}
        kept: dict[str, str] = {}

        def fold(graph: Graph, mod: tvm.IRModule) -> Rewriter:
            rewriter = _Fold(graph, mod, self.borders)
            removed.update({var.name: int(np.sum(~left)) for var, left in rewriter.left.items() if not left.all()})
            kept.update(rewriter.reasons())
            return rewriter

        mod = without_unused_composites(rewrite(mod, fold))
        return mod.with_attrs({REMOVED_CHANNELS: removed, KEPT_CHANNELS: kept})


class _Reason(NamedTuple):
    """Why channels stay: what happens to a tensor that has them too."""

    tensor: str
    text: str


class _Fold(ChannelRewriter):
    def __init__(self, graph: Graph, mod: tvm.IRModule, borders: bool) -> None:
        self.borders = borders
        super().__init__(graph, mod)

    def _step(self, var: Var, value: Expr) -> Step | None:
        step = super()._step(var, value)
        if self.borders or step is None or step.effect.contraction is None:
            return step
        sums = replace(step.effect.contraction, by_place=np.zeros_like(step.effect.contraction.by_place))
        return replace(step, effect=replace(step.effect, contraction=sums))

    def choose(self) -> dict[Var, np.ndarray]:
        self.left = self.settle()
        return {var: np.flatnonzero(left) for var, left in self.left.items()}

    def settle(self) -> dict[Var, np.ndarray]:
        """Which channels of each tensor are left: the fewest that everything needs, and one at least."""
        left = self.read()
        for var, step in self.steps.items():
            left[var] |= bool(step.effect.whole)
        while True:
            self.spread(left, both_ways=True)
            empty = [channels for channels in left.values() if channels.size and not channels.any()]
            if not empty:
                return left
            empty[-1][0] = True

    def read(self) -> dict[Var, np.ndarray]:
        """The channels of each tensor that something reads which is not looked through."""
        return {var: np.full(len(known.mask), var in self.read_whole) for var, known in self.known.items()}

    def spread(self, left: dict[Var, np.ndarray], both_ways: bool) -> None:
        """Mark all channels that those marked already need; both ways: also those that cannot go without them."""
        changed = True
        while changed:
            changed = False
            for var, step in reversed(self.steps.items()):
                tensors = [left[var], *(left[operand] for operand in step.operands)]
                before = [tensor.sum() for tensor in tensors]
                _spread(tensors[0], tensors[1:], step.effect, both_ways)
                changed |= before != [tensor.sum() for tensor in tensors]

    def reasons(self) -> dict[str, str]:
        """Why tensors keep channels that are constant, or that nothing reads."""
        read = self.read()
        self.spread(read, both_ways=False)
        found: dict[str, _Reason] = {}
        for var, step in reversed(self.steps.items()):
            idle = self.left[var] & (step.effect.known.mask | ~read[var])
            if idle.any():
                stays = _Reason(var.name, step.effect.whole or "one channel has to stay")
                found[var.name] = stays if step.effect.whole else next(self.readers(var, idle, found), stays)
            if var.name in found and not (isinstance(step.region, (Conv, MatMul)) and (self.left[var] & ~idle).any()):
                for operand, labels in zip(step.operands, step.effect.labels, strict=False):
                    if labels is None:
                        found.setdefault(operand.name, _Reason(operand.name, f"'{var.name}' reads all of it"))
        return {
            name: text if tensor == name else f"'{tensor}' has them too: {text}"
            for name, (tensor, text) in found.items()
        }

    def readers(self, var: Var, idle: np.ndarray, found: dict[str, _Reason]) -> Iterator[_Reason]:
        """What keeps channels of ``var`` that are constant, or that nothing needs. found : of tensors after it."""
        if var in self.read_whole:
            yield _Reason(var.name, self.read_whole[var])
        for reader, step in self.steps.items():
            sums = step.effect.contraction
            if sums is not None and var == step.operands[0] and (_needed(sums, self.left[reader]) & idle).any():
                how = "differently at padded borders, or from place to place"
                yield _Reason(var.name, f"'{reader.name}' sums them {how}; {self.why(step)}")
        for y, step in self.steps.items():
            if step.effect.tied is not None and (var == y or var in step.operands):
                yield _Reason(var.name, f"'{y.name}' has them in groups, which stay or go as wholes")
            for operand, labels in zip(step.operands, step.effect.labels, strict=False):
                if labels is None:
                    if operand == var:
                        yield _Reason(var.name, f"'{y.name}' reads all of it")
                elif operand == var and (self.left[y] & (labels >= 0) & idle[labels]).any():
                    beside = [other.name for other in step.operands if other != var]
                    if beside and y.name not in found:
                        yield _Reason(var.name, f"'{y.name}' needs those of '{beside[0]}' beside them")
                    yield found.get(y.name, _Reason(y.name, self.read_whole.get(y, "they are needed there")))
                elif y == var and (idle & (labels >= 0) & self.left[operand][labels]).any():
                    yield _Reason(var.name, f"'{operand.name}' has them too, and they are needed there")

    def why(self, step: Step) -> str:
        """Why a convolution gets no border."""
        if not self.borders:
            return "the target's kernels have no borders"
        if isinstance(step.region, Conv) and step.region.transposed:
            return "transposed convolutions have no borders"
        return "a border would take more bytes than their weights"


def _spread(y: np.ndarray, xs: list[np.ndarray], how: Effect, both_ways: bool) -> None:
    """Mark in xs the channels that an op needs for those marked in y; both ways: in y those that it gives anyway."""
    if how.contraction is not None:
        xs[0] |= _needed(how.contraction, y)
    if how.tied is not None:
        of_x, of_y = how.tied
        needed = np.zeros(max(of_x.max(), of_y.max()) + 1, bool)
        needed[of_y[y]] = True
        if both_ways:
            needed[of_x[xs[0]]] = True
            y |= needed[of_y]
        xs[0] |= needed[of_x] if both_ways or how.reads is None else how.reads[y].any(axis=0)
    for x, labels in zip(xs, how.labels, strict=False):
        if labels is None:
            x[:] = True
            continue
        from_x = labels >= 0
        reads = from_x if both_ways or how.ignored is None else from_x & ~how.ignored
        x[labels[y & reads]] = True
        if both_ways:
            y |= from_x & x[labels]


def _needed(contraction: Contraction, outputs: np.ndarray) -> np.ndarray:
    """Inputs that fold neither into the bias of the outputs that are left nor into a border."""
    return contraction.nonzero[outputs].any(axis=0) & ~contraction.foldable & ~contraction.by_place

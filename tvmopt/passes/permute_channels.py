"""Channels in the order in which their weights' zeros meet."""

from __future__ import annotations

import numpy as np
import tvm

from ..quant.regions import Conv, MatMul
from ..quant.relax_form.scope import Var, op_name
from ..quant.slicing import centered
from ..quant.sparsity import TILE, is_sparse, pattern, zero_tiles
from .channel_rewriter import ChannelRewriter, Step, without_unused_composites
from .graph import rewrite
from .moves import RESHAPES

FREE = (*RESHAPES, "relax.permute_dims", "relax.image.resize2d")
"""Moves that take channels in any order, where they leave them on an axis of their own."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.PermuteChannels")
class PermuteChannels:
    """Rewrites, where between two sums over channels there are only ops that take each channel alone::

        conv2(conv1(x)), zeros in conv1's weight scattered
            -> conv2'(conv1'(x)), the channels between them in an order in which more tiles of zeros
               (4 outputs x 1 input) are in conv1's weight

    Exact: integer sums do not depend on their order. Free at run time: only constants change. The order stays where
    another one empties no tile, where it makes an N:M pattern of what reads it, and where it is seen: at inputs and
    outputs of the model, concatenations, slices, flattened images.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return without_unused_composites(rewrite(mod, _Permute))


class _Permute(ChannelRewriter):
    def choose(self) -> dict[Var, np.ndarray]:
        order = {var: np.arange(len(known.mask)) for var, known in self.known.items()}
        used = {var: weight for var, step in self.steps.items() if (weight := _weight(step)) is not None}
        for tensors in self._tied():
            sparse = [used[var] for var in tensors if var in used and is_sparse(used[var])]
            read = [weight for var, weight in used.items() if self.steps[var].operands[0] in tensors]
            if not sparse or any(map(pattern, read)):
                continue
            found = gathered(np.concatenate([weight.reshape(len(weight), -1) for weight in sparse], axis=1))
            if sum(zero_tiles(weight[found]) - zero_tiles(weight) for weight in sparse) > 0:
                order.update(dict.fromkeys(tensors, found))
        return order

    def _tied(self) -> list[set[Var]]:
        """Tensors whose channels can only be reordered together, without those whose channels cannot at all."""
        root = {var: var for var in self.known}
        fixed = set(self.read_whole) & set(root)

        def find(var: Var) -> Var:
            while root[var] is not var:
                var = root[var]
            return var

        for var, step in self.steps.items():
            if step.effect.whole:
                fixed.add(var)
            if step.effect.tied is not None:
                fixed.update((var, *step.operands))
            for operand, labels in zip(step.operands, step.effect.labels, strict=False):
                same = labels is not None and np.array_equal(labels, np.arange(len(self.known[operand].mask)))
                if same and (step.move is None or op_name(step.move[0]) in FREE):
                    root[find(operand)] = find(var)
                else:
                    fixed.update((operand,) if labels is None else (operand, var))
        seen = {find(var) for var in fixed}
        groups: dict[Var, set[Var]] = {}
        for var in root:
            groups.setdefault(find(var), set()).add(var)
        return [group for top, group in groups.items() if top not in seen]


def gathered(used: np.ndarray) -> np.ndarray:
    """An order of channels in which few tiles of ``TILE`` neighbours are used: int [channels].

    used : bool [channels, places]: where a channel has a weight that is not zero.

    Pairs those that share the most places, busiest first, then pairs the pairs.
    """
    groups = [[channel] for channel in range(len(used))]
    tail: list[int] = []
    for _ in range(TILE.bit_length() - 1):
        shared = (places := used.astype(np.float32)) @ places.T
        np.fill_diagonal(shared, -1)
        left = np.ones(len(groups), bool)
        firsts, seconds = [], []
        for first in np.argsort(-np.count_nonzero(used, axis=1), kind="stable"):
            if not left[first]:
                continue
            left[first] = False
            second = int(np.argmax(np.where(left, shared[first], -1)))
            if not left[second]:
                tail = groups[first] + tail
                continue
            left[second] = False
            firsts.append(int(first))
            seconds.append(second)
        groups = [groups[first] + groups[second] for first, second in zip(firsts, seconds, strict=True)]
        used = used[firsts] | used[seconds]
    return np.array([channel for group in groups for channel in group] + tail)


def _weight(step: Step) -> np.ndarray | None:
    """Which elements of the weight of a sum over channels are not zero: bool [outputs, inputs, taps]; None without."""
    region = step.region
    if (isinstance(region, Conv) and region.groups == 1) or (isinstance(region, MatMul) and region.weight is not None):
        return np.asarray(centered(region) != 0)
    return None

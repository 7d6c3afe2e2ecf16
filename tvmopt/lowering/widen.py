"""Channels up to whole vectors: convolutions give and take some that hold nothing, so that no vector is cut short.

    conv(x): 57 channels -> depthwise -> conv    becomes    conv(x): 64 channels -> depthwise -> conv

The channels that are added meet weights of zero only. They cost memory traffic, but no instruction, and save
the code for the rest of a vector in every kernel; folding dead channels leaves odd numbers of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tvm import relax
from tvm.ir import Call, GlobalVar

from ..quant.params import QParams
from ..quant.regions import Conv, Region
from ..quant.relax_form.scope import static_shape
from ..quant.slicing import is_depthwise
from .packing import Packing


def widths(main: relax.Function, regions: Mapping[GlobalVar, Region | None], form: Packing) -> dict[relax.Var, int]:
    """Tensors that are given channels up to whole vectors of ``form``, and how many they have then.

    Those that a convolution computes and convolutions alone read. Tensors narrower than a vector stay, and all do
    where the instruction set has no shape of its own for products.
    """
    found: dict[relax.Var, int] = {}
    if form.depth == 1:
        return found
    chains: list[tuple[relax.Var, relax.Var]] = []  # a depthwise convolution has as many channels as its input
    for block in main.body.blocks:
        for binding in block.bindings:
            region = _convolution(binding, regions)
            for operand in relax.analysis.free_vars(binding.value):
                if region is None:
                    found.pop(operand, None)
                elif is_depthwise(region):
                    chains.append((operand, binding.var))
            if region is not None and region.bias.size > form.lanes:
                found[binding.var] = form.blocks(region.bias.size) * form.lanes
    for result in relax.analysis.free_vars(main.body.body):
        found.pop(result, None)
    while broken := [pair for pair in chains if (pair[0] in found) != (pair[1] in found)]:
        for pair in broken:
            for var in pair:
                found.pop(var, None)
    return found


def _convolution(binding: relax.Binding, regions: Mapping[GlobalVar, Region | None]) -> Conv | None:
    """The region that is called, if it can be widened."""
    value = binding.value
    if static_shape(binding.var.ty) is None:
        return None
    region = regions.get(value.op) if isinstance(value, Call) and isinstance(value.op, GlobalVar) else None
    return region if isinstance(region, Conv) and _can_be_widened(region) else None


def _can_be_widened(region: Conv) -> bool:
    return not region.transposed and (region.groups == 1 or is_depthwise(region))


def widened(region: Conv, inputs: int, outputs: int) -> Conv:
    """``region`` with so many input and output channels; those that are added have weights of zero.

    As it is, where ``widths`` widens neither its input nor its output: transposed, or of several groups.
    """
    if not _can_be_widened(region):
        return region
    have, per_group = region.weight.shape[:2]
    depthwise = is_depthwise(region)
    more = (outputs - have, 0 if depthwise else inputs - per_group)
    if more == (0, 0):
        return region
    w = _longer(region.w, more[0])
    zero_point = w.along(region.weight.ndim)[1]
    shape = (outputs, per_group + more[1], *region.weight.shape[2:])
    weight = np.broadcast_to(zero_point.astype(region.weight.dtype), shape).copy()
    weight[:have, :per_group] = region.weight
    bias, border = np.pad(region.bias, (0, more[0])), region.border
    if border is not None:
        border = replace(border, values=np.pad(border.values, [(0, more[0]), *[(0, 0)] * len(border.index)]))
    return replace(region, weight=weight, w=w, bias=bias, border=border, groups=outputs if depthwise else 1)


def _longer(p: QParams, count: int) -> QParams:
    if p.axis is None:
        return p
    return QParams(np.pad(p.scale, (0, count), "edge"), np.pad(p.zero_point, (0, count), "edge"), p.axis)

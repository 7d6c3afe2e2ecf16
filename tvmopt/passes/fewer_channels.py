"""Composites on the channels that are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tvm import relax

from ..quant.regions import Binary, Border, Conv, MatMul, Region
from ..quant.relax_form.scope import Expr, Var
from ..quant.relax_form.write import composite
from ..quant.slicing import centered, grouped_sliced, sliced
from .borders import border, same_everywhere
from .channels import Effect
from .graph import substitute
from .known import Known


def on_fewer_channels(region: Region, how: Effect, outputs: np.ndarray, inputs: np.ndarray, x: Known) -> Region:
    """``region`` for the channels ``outputs`` of its result, reading those ``inputs`` of x that are left."""
    if isinstance(region, Conv) and region.groups > 1:
        return grouped_sliced(region, outputs)
    if isinstance(region, Conv) or (isinstance(region, MatMul) and region.weight is not None):
        if how.contraction is None:  # x has its channels on another axis than those that are summed
            return sliced(region, np.arange(centered(region).shape[1]), outputs)
        return sliced(_with_constants(region, how.known.shape, inputs, x), inputs, outputs)
    if isinstance(region, Binary) and region.constant is not None:
        at = how.known.axis - len(how.known.shape) + region.constant.ndim
        if at >= 0 and region.constant.shape[at] == len(how.known.mask):
            return replace(region, constant=region.constant.take(outputs, at))
    return region


def _with_constants(region: Conv | MatMul, shape: tuple[int, ...], inputs: np.ndarray, x: Known) -> Conv | MatMul:
    """What the inputs that go contribute, which is constant, in the bias and the border of a result of ``shape``;
    int32, as it wraps in the sum itself."""
    params = region.x if isinstance(region, Conv) else region.a
    assert params is not None
    gone = np.ones(len(x.mask), bool)
    gone[inputs] = False
    if isinstance(region, Conv) and (placed := gone & x.mask & ~same_everywhere(region, x)).any():
        found = border(region, shape, x, np.flatnonzero(placed))
        if region.border is not None:
            found = Border.of(found.image + region.border.image)
        region, gone = replace(region, border=found), gone & ~placed
    _, value = x.uniform()
    weight = centered(region).sum(axis=2, dtype=np.int64)[:, gone]
    added = weight @ np.where(x.mask, value - int(params.zero_point), 0)[gone].astype(np.int64)
    if not added.any():
        return region
    bias = np.zeros(len(added), np.int32) if region.bias is None else region.bias
    return replace(region, bias=(bias + added).astype(np.int32))


def retyped(function: relax.Function, type_: relax.TensorType, name: str) -> relax.Function:
    """An elementwise composite of one input, for another shape."""
    param = Var("x0", type_)

    def write(body: relax.BlockBuilder) -> Expr:
        copies: dict[Var, Expr] = {function.params[0]: param}
        for binding in function.body.blocks[0].bindings[:-1]:
            copies[binding.var] = body.emit(substitute(binding.value, copies), binding.var.name)
        return substitute(function.body.blocks[0].bindings[-1].value, copies)

    return composite("table", [param], write, name)

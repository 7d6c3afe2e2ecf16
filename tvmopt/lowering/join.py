"""Which elementwise ops are computed by the kernel of the convolution or matrix product that gives one operand.

    a = conv(x); y = add(a, b)        becomes    y = conv(x) + b, where a was

So of two operands it is the one that is computed last, and no tensor has to be kept for longer than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

from tvm import relax
from tvm.ir import Call, GlobalVar

from ..quant.regions import Binary, Conv, MatMul, Region, Residual
from ..quant.relax_form.scope import static_shape
from ..target import Target
from .conv import convolve
from .dispatch import lower, wants
from .kernel import Kernel, Stored
from .matmul import multiply


@dataclass(frozen=True)
class Join:
    """An elementwise op that can be computed with its operand.

    Attributes
    ----------
    result : its variable in ``main``.
    other  : its other operand's.
    region : both together.
    """

    result: relax.Var
    other: relax.Var
    region: Residual

    def region_with(self, product: Region) -> Residual:
        """``region`` of another product, which gives the same output."""
        assert isinstance(product, Conv | MatMul)
        return replace(self.region, product=product)


def joins(main: relax.Function, regions: Mapping[GlobalVar, Region | None]) -> dict[relax.Var, Join]:
    """What can be computed together, by the variable of the product: two calls of ``regions`` in ``main``.

    Nothing else reads the product, and all three tensors have one static shape.
    """
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    places = {binding.var: place for place, binding in enumerate(bindings)}
    uses = Counter(var for binding in bindings for var in relax.analysis.free_vars(binding.value))
    uses.update(relax.analysis.free_vars(main.body.body))
    found = {}
    for binding in bindings:
        combine = _region(binding, regions)
        if not isinstance(combine, Binary) or combine.constant is not None:
            continue
        a, b = binding.value.args
        other, own = sorted((a, b), key=lambda var: places.get(var, -1))
        shapes = {static_shape(var.ty) for var in (a, b, binding.var)}
        if own not in places or uses[own] > 1 or own.same_as(other) or len(shapes) > 1 or None in shapes:
            continue
        product = _region(bindings[places[own]], regions)
        if _takes_another(product):
            region = Residual(product, combine, own.same_as(b), requantize=combine.requantize)
            found[own] = Join(binding.var, other, region)
    return found


def _region(binding: relax.Binding, regions: Mapping[GlobalVar, Region | None]) -> Region | None:
    value = binding.value
    return regions.get(value.op) if isinstance(value, Call) and isinstance(value.op, GlobalVar) else None


def _takes_another(product: Region | None) -> TypeGuard[Conv | MatMul]:
    """Whether its kernel can read another tensor: not a depthwise one, nor that of two activations."""
    return (
        product.groups == 1 if isinstance(product, Conv) else isinstance(product, MatMul) and product.weight is not None
    )


@wants.register
def _(region: Residual, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """The other tensor as the product's output is stored."""
    own, other = wants(region.product, inputs[:-1], target), inputs[-1]
    return (*own, Stored(other.shape, other.dtype, own[0].channels_last))


@lower.register
def _(region: Residual, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    if isinstance(region.product, Conv):
        return convolve(region.product, inputs, out_shape, target, residual=region)
    return multiply(region.product, inputs, out_shape, target, residual=region)

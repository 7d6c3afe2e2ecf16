"""Kernels that find the largest value along an axis."""

from __future__ import annotations

from tvm import te, topi

from ..quant.regions import ArgMax
from ..target import Target
from .arith import Expr
from .dispatch import lower, wants
from .kernel import Kernel, Stored


@wants.register
def _(region: ArgMax, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """Channels may be last where they are what is compared: what is left is then in the order of ONNX."""
    (held,) = inputs
    return (Stored(held.shape, held.dtype, held.channels_last and region.axis == 1),)


@lower.register
def _(region: ArgMax, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    x = te.placeholder(held.physical, held.dtype, "x")
    # Wider than x, as topi finds nothing, -1, where all elements are the lowest of their dtype.
    wide = te.compute(x.shape, lambda *place: x[place].astype("int32"), "wide")
    found = topi.argmax(wide, held.order.index(region.axis), keepdims=False, select_last_index=False)

    def index(*place: Expr) -> Expr:
        return found[place].astype("int64")

    return Kernel(te.create_prim_func([x, te.compute(found.shape, index, "y")]), (), Stored(out_shape, "int64"))

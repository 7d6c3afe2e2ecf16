"""Kernels that find the largest or the smallest element along an axis."""

from __future__ import annotations

from tvm import te, tirx

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
    y = first(x, held.order.index(region.axis), largest=True)
    return Kernel(te.create_prim_func([x, y]), (), Stored(out_shape, "int64"))


def first(x: te.Tensor, axis: int, largest: bool, keepdims: bool = False) -> te.Tensor:
    """int64 index of the first of the largest, or smallest, elements along an axis.

    ``topi.argmax`` gives -1 where no element is larger than the lowest (of floats: finite) one of the dtype.
    """

    def combine(a: tuple[Expr, Expr], b: tuple[Expr, Expr]) -> tuple[Expr, Expr]:
        better = a[1] > b[1] if largest else a[1] < b[1]
        keep = tirx.Or(better, tirx.And(a[1] == b[1], a[0] < b[0]))
        return tirx.Select(keep, a[0], b[0]), tirx.Select(keep, a[1], b[1])

    def identity(index: str, value: str) -> tuple[Expr, Expr]:
        """Where it is as good as all elements, the first of them is at 0."""
        return tirx.const(0, index), tirx.min_value(value) if largest else tirx.max_value(value)

    k = te.reduce_axis((0, x.shape[axis]), "k")
    shape = [*x.shape[:axis], *([1] if keepdims else []), *x.shape[axis + 1 :]]

    def pair(*at: Expr) -> Expr:
        reducer = te.comm_reducer(combine, identity, "first")
        return reducer((k.var, x[(*at[:axis], k, *at[axis + keepdims :])]), axis=k)

    index, _ = te.compute(shape, pair, "first")
    return te.compute(shape, lambda *at: index[at].astype("int64"), "index")

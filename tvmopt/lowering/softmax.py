"""Kernels of softmax in fixed point, along any axis of a tensor however it is stored."""

from __future__ import annotations

from tvm import te, tirx

from ..quant.regions import Softmax
from ..quant.softmax import START, STEPS, TWO, exponentials, leading_zeros, output_scale
from ..target import Target
from .arith import Expr, rescale, saturate_integer
from .dispatch import activation, as_stored, lower
from .kernel import Kernel, Stored


@lower.register
def _(region: Softmax, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    if region.requantize == "float":
        return None
    (held,) = inputs
    out = Stored(out_shape, activation(str(region.y.dtype), target), held.channels_last)
    size, axis = out_shape[region.axis], held.order.index(region.axis)
    zeros, scale, y_params = leading_zeros(size), output_scale(region), as_stored(region.y, out)
    x = te.placeholder(held.physical, held.dtype, "x")
    table = te.placeholder((256,), "int32", "exponentials")
    rows = (*held.physical[:axis], 1, *held.physical[axis + 1 :])
    k, j = (te.reduce_axis((0, size), name) for name in ("k", "j"))

    def along(place: tuple[Expr, ...], at: Expr | int) -> tuple[Expr, ...]:
        return (*place[:axis], at, *place[axis + 1 :])

    largest = te.compute(rows, lambda *at: te.max(x[along(at, k)].astype("int32"), axis=k), "largest")

    def exponential(*at: Expr) -> Expr:
        return table[x[at].astype("int32") - largest[along(at, 0)] + 255]

    e = te.compute(held.physical, exponential, "e")
    s = te.compute(rows, lambda *at: te.sum(e[along(at, j)], axis=j), "s")
    r = _reciprocal(s, zeros)

    def quotient(*at: Expr) -> Expr:
        p = _product(e[at], r[along(at, 0)], 31 - zeros)
        return saturate_integer(
            rescale(p, tirx.const(int(scale.multiplier), "int32"), tirx.const(int(scale.shift), "int32")),
            int(y_params.zero_point), *y_params.range, out.dtype,
        )  # fmt: skip

    y = te.compute(out.physical, quotient, "y")
    return Kernel(te.create_prim_func([x, table, y]), (exponentials(region, size),), out)


def _reciprocal(s: te.Tensor, zeros: int) -> te.Tensor:
    """``r`` of sums with at most so many leading zeros; how many fewer they have is counted without an instruction.

    A tensor for each step, as TIR would write out every use of an expression.
    """

    def bits(*at: Expr) -> Expr:
        counted = ((s[at] >= (1 << (32 - zeros + i))).astype("int32") for i in range(zeros - 1))
        return sum(counted, tirx.const(0, "int32"))

    more = te.compute(s.shape, bits, "more")
    f = te.compute(s.shape, lambda *at: s[at] << (zeros - 1 - more[at]), "f")
    r = te.compute(s.shape, lambda *at: START[0] - _product(f[at], START[1], 31), "r0")
    for step in range(STEPS):
        r = _newton(f, r, f"r{step + 1}")
    half = te.compute(s.shape, lambda *at: (tirx.const(1, "int32") << more[at]) >> 1, "half")
    return te.compute(s.shape, lambda *at: (r[at] + half[at]) >> more[at], "r")


def _newton(f: te.Tensor, r: te.Tensor, name: str) -> te.Tensor:
    return te.compute(f.shape, lambda *at: _product(r[at], TWO - _product(f[at], r[at], 31), 29), name)


def _product(a: Expr, b: Expr | int, shift: int) -> Expr:
    """``a * b / 2**shift``, halves up, as int32."""
    factor = tirx.const(b, "int64") if isinstance(b, int) else b.astype("int64")
    return ((a.astype("int64") * factor + (1 << (shift - 1))) >> shift).astype("int32")

"""exp in float32 by additions and multiplications: no libm, vectorized like the code around it, the same bits
on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tvm import tirx

# exp(x) = 2**n * exp(r), n = round(x / ln 2), r = x - n * ln 2, with ln 2 in two parts of which the first has so few
# bits that its product with n is exact; exp(r) = 1 + r + r**2 * polynomial(r). Constants of Cephes' expf.
_LN2 = (0.693359375, -2.12194440e-4)
_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
# Added to a float32 n of at most 22 bits, this rounds it half to even, and the sum's low bits are the integer.
_ROUND = 1.5 * 2**23


def expand(func: tirx.PrimFunc, fenced: bool) -> tirx.PrimFunc:
    """``exp(x)`` of float32  ->  what it stands for; at most 1 unit in the last place from the exact value.

    fenced : by an intrinsic of LLVM, not an operation. C has none, and without vectors LLVM unrolls more where it is.
    """
    import tvm_ffi
    from tvm import ir

    def replace(call: ir.Call) -> Any:
        is_exp = getattr(call.op, "name", "") == "tirx.exp" and str(call.ty) == "float32"
        return _exp(call.args[0], _fenced if fenced else _kept) if is_exp else call

    return func.with_body(tvm_ffi.structural_map(func.body, (ir.Call, replace)))


def _fenced(product: Any) -> Any:
    """A product that LLVM, which TVM lets fuse, does not fuse with an addition. Costs no instruction."""
    from tvm import tirx

    return tirx.call_llvm_pure_intrin("float32", "llvm.arithmetic.fence", product)


def _kept(product: Any) -> Any:
    """The same by a maximum that changes nothing."""
    from tvm import tirx

    return tirx.Max(product, tirx.const(float(np.finfo(np.float32).min), "float32"))


def _exp(value: Any, rounded: Callable[[Any], Any]) -> Any:
    from tvm import tirx

    def f32(constant: float | np.floating[Any]) -> Any:
        return tirx.const(float(np.float32(constant)), "float32")

    def times(a: Any, b: Any) -> Any:
        return rounded(a * b)

    x, t, r = (tirx.Var(name, "float32") for name in ("exp_x", "exp_t", "exp_r"))
    within = tirx.Min(tirx.Max(x, f32(-104.0)), f32(89.0))  # beyond, the result is 0 or infinity
    n = t - f32(_ROUND)
    polynomial = f32(_POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        polynomial = times(polynomial, r) + f32(coefficient)
    near_one = (times(polynomial, times(r, r)) + r) + f32(1.0)
    exponent = tirx.reinterpret("int32", t) - int(np.float32(_ROUND).view(np.int32))
    half = exponent >> 1  # 2**n may be too large or too small for a float32, where the result is not

    def power_of_two(e: Any) -> Any:
        return tirx.reinterpret("float32", (e + 127) << 23)

    result = near_one * power_of_two(half) * power_of_two(exponent - half)
    reduced = (within - n * f32(_LN2[0])) - times(n, f32(_LN2[1]))
    nan = (tirx.reinterpret("int32", x) & 0x7FFFFFFF) > 0x7F800000  # tirx.isnan would be computed one element at a time
    body = tirx.Select(nan, x, tirx.Let(r, reduced, result))
    rounded = times(within, f32(1 / np.log(2))) + f32(_ROUND)
    return tirx.Let(x, value, tirx.Let(t, rounded, body))

"""Quantized arithmetic as TIR expressions, with the order of operations of ``quant/reference.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import tirx

from ..quant.regions import Clamp
from ..target import Target

Expr = Any
"""A TIR expression of one element."""

_ROUND = 1.5 * 2**23

# LLVM features of x86, 32-bit Arm and AArch64 that come with a fused multiply-add.
_FUSED = {"fma", "vfp4d16sp", "fp-armv8"}


def f32(value: float | np.floating) -> Expr:
    """A float32 literal, equal to ``value``'s float32 to the last bit."""
    return tirx.const(float(np.float32(value)), "float32")


def centered(x: Expr, zero_point: Expr | int) -> Expr:
    """``float32(int32(x) - zero_point)``."""
    return (x.astype("int32") - zero_point).astype("float32")


def saturate(value: Expr, zero_point: Expr | int, lo: Expr | int, hi: Expr | int, dtype: str) -> Expr:
    """``clip(round_half_even(value) + zero_point, lo, hi)`` of a float32 ``value``, as ``dtype``.

    The clip comes first and in float32, so that the conversion to an integer is always defined; NaN gives lo.
    It leaves at most a few hundred, and adding 1.5 * 2**23 to so small a number rounds it half to even into the
    low bits of the mantissa: no target needs a rounding instruction (SSE2 and Cortex-M4 have none).
    """
    bits = tirx.reinterpret("int32", _clipped(value, lo - zero_point, hi - zero_point) + f32(_ROUND))
    return (bits + (zero_point - int(np.float32(_ROUND).view(np.int32)))).astype(dtype)


def saturate_real(value: Expr, zero_point: int, lo: int, hi: int) -> Expr:
    """The same with a float32 result. (A sum: TVM would take ``x + c - c`` for x.)"""
    return _clipped(value, lo - zero_point, hi - zero_point) + f32(_ROUND) + f32(zero_point - _ROUND)


def _clipped(value: Expr, lo: Expr | int, hi: Expr | int) -> Expr:
    return tirx.Min(tirx.Max(value, _f32(lo)), _f32(hi))


def rescale(value: Expr, multiplier: Expr, shift: Expr) -> Expr:
    """The int64 ``(value * multiplier + 2**(shift - 1)) >> shift`` of three int32: ``fixed.Scale``."""
    half = tirx.const(1, "int64") << (shift - 1).astype("int64")
    return (value.astype("int64") * multiplier.astype("int64") + half) >> shift.astype("int64")


def saturate_integer(value: Expr, zero_point: Expr | int, lo: Expr | int, hi: Expr | int, dtype: str) -> Expr:
    """``clip(value + zero_point, lo, hi)`` of an int64 ``value``, as ``dtype``."""
    low, high = (bound - zero_point for bound in (lo, hi))
    value = tirx.Min(tirx.Max(value, _int64(low)), _int64(high)).astype("int32")
    return (value + zero_point).astype(dtype)


def _int64(value: Expr | int) -> Expr:
    return tirx.const(value, "int64") if isinstance(value, int) else value.astype("int64")


def nearest(value: Expr) -> Expr:
    """``round_half_even(value)`` as int32, of a float32 ``value`` that is below 2**31. One instruction on x86."""
    return tirx.call_llvm_pure_intrin("int32", "llvm.lrint", value)


def within(value: Expr, zero_point: int, lo: int, hi: int, dtype: str) -> Expr:
    """``value + zero_point`` of an int32, which ``narrowed`` to ``dtype`` is that between lo and hi."""
    value = value + zero_point
    if hi < np.iinfo(dtype).max:
        value = tirx.Min(value, hi)
    return tirx.Max(value, lo) if lo > np.iinfo(dtype).min else value


def narrowed(value: Expr, dtype: str) -> Expr:
    """An int32 within the range of an 8-bit dtype."""
    info = np.iinfo(dtype)
    return tirx.Max(tirx.Min(value, int(info.max)), int(info.min)).astype(dtype)


def _f32(value: Expr | int) -> Expr:
    return f32(value) if isinstance(value, int) else value.astype("float32")


def is_nan(x: Expr) -> Expr:
    """Whether a float32 is no number, from its bits: TVM computes ``tirx.isnan`` one element at a time."""
    return (tirx.reinterpret("int32", x) & 0x7FFFFFFF) > 0x7F800000


def rounded(product: Expr) -> Expr:
    """A float32 product that LLVM may not contract with an addition that follows into one fused operation.

    TVM lets LLVM's code generator form fused multiply-adds (``FPOpFusion::Fast``); a maximum with the lowest
    float32 changes no value, costs one instruction, and is not looked through.
    """
    return tirx.Max(product, f32(np.finfo(np.float32).min))


def fma(x: Expr, factor: Expr, addend: Expr, target: Target) -> Expr:
    """``x * factor + addend`` rounded once to float32, for an integral x of at most 16 bits.

    Without an instruction for it: in float64, where the product is exact (see ``reference.fma``).
    """
    if target.cuda is not None:
        return tirx.call_pure_extern("float32", "__fmaf_rn", x, factor, addend)
    if fuses(target):
        return tirx.call_llvm_pure_intrin("float32", "llvm.fma", x, factor, addend)
    wide = [value.astype("float64") for value in (x, factor, addend)]
    return (wide[0] * wide[1] + wide[2]).astype("float32")


def fuses(target: Target) -> bool:
    """Whether a CPU has an instruction for ``fma``."""
    return bool(_FUSED & target.llvm_features)


def shift(clamp: Clamp, by: int) -> Clamp:
    """A clamp of quantized values that are stored ``by`` higher."""
    return clamp[0] + by, clamp[1] + by

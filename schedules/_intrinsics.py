"""Tensor intrinsics of x86: multiply-adds of a vector of int32 lanes with one broadcast group of activations.

Our own: TVM's are slow to import and their VNNI call does not match LLVM's present signature.
"""

from __future__ import annotations

from functools import cache

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T
from tvm.tirx import PrimFunc


@cache
def vpdpbusd() -> str:
    """``acc[16] += sum of 4 (u8 x s8)``, AVX512-VNNI; wraps, never saturates. Registers it and gives its name."""

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (16, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (16,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:16], A[0:4], B[0:16, 0:4])
            T.writes(C[0:16])
            C[T.ramp(T.int32(0), 1, 16)] = T.call_llvm_pure_intrin(
                "int32x16",
                "llvm.x86.avx512.vpdpbusd.512",
                C.vload([0], dtype="int32x16"),
                T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "uint8x4"), dtype="int32"), 16), dtype="uint8x64"),
                B.vload([0, 0], dtype="int8x64"),
            )

    return _register("tvmopt.vpdpbusd", _description(16, 4, "uint8", "int8"), implementation)


@cache
def vpmaddwd(lanes: int, w: str) -> str:
    """``acc[lanes] += sum of 2 (s16 x w)``, AVX2 (8 lanes) and AVX512BW (16); w is "int8" or "int16".

    Exact: of two 16-bit products only (-32768)**2 + (-32768)**2 exceeds 32 bits.
    """
    call = {8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}[lanes]
    wide, sums, narrow = f"int16x{2 * lanes}", f"int32x{lanes}", f"{w}x{2 * lanes}"

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (2,), "int16", offset_factor=1)
        B = T.match_buffer(b, (lanes, 2), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:2], B[0:lanes, 0:2])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = C.vload([0], dtype=sums) + T.call_llvm_pure_intrin(
                sums,
                call,
                T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "int16x2"), dtype="int32"), lanes), dtype=wide),
                T.cast(B.vload([0, 0], dtype=narrow), wide),
            )

    return _register(f"tvmopt.vpmaddwd.{lanes}.{w}", _description(lanes, 2, "int16", w), implementation)


def _description(lanes: int, depth: int, x: str, w: str) -> PrimFunc:
    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), x, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, depth):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    return description


def _register(name: str, description: PrimFunc, implementation: PrimFunc) -> str:
    TensorIntrin.register(name, description, implementation)
    return name

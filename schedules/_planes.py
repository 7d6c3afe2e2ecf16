"""Elementwise blocks that read planes, of up to 4 channels, and write the bytes of a pixel side by side: [C, H, W] to
[H, W, C], with whatever is computed on the way.

    for rows, tiles of 16 pixels:
        plane[C][16] = ...                        # a vector each
        out[16][C] = bytes of plane[0] | plane[1] << 8 | ...

Vectors of 32-bit pixels: to interleave bytes takes three times as many shuffles.
"""

from __future__ import annotations

from functools import cache

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.script import tirx as T
from tvm.target import Target
from tvm.tirx import Shuffle

from ._common import extents, features
from ._intrinsics import register
from ._tir import first_lanes

PIXELS, MOST = 16, 4


def takes(sch: Schedule, block: SBlockRV, along: int | None, target: Target) -> bool:
    """Whether a block is one. along : the axis of its output along which what it reads is contiguous, if not the last.

    x86 only: elsewhere it was not measured.
    """
    dtype = sch.get(block).writes[0].source.dtype
    *space, channels = extents(sch, block)
    return (
        str(target.attrs.get("mtriple", "")).startswith("x86_64")
        and along == len(space) - 1
        and str(dtype) == "uint8"
        and 1 < channels <= MOST
        and space[-1] % PIXELS == 0
    )


def schedule(sch: Schedule, block: SBlockRV, target: Target) -> list[LoopRV]:
    """Schedule a block that ``takes`` takes; its outer loops."""
    channels = extents(sch, block)[-1]
    masked = channels == 3 and "avx512f" in features(target)
    store = sch.cache_write(block, 0, "local")
    *rows, pixel, _ = sch.get_loops(store)
    tile, each = sch.split(pixel, [None, PIXELS])
    sch.compute_at(block, tile, preserve_unit_loops=True)
    sch.transform_layout(block, ("write", 0), lambda *at: (*at[:-2], at[-1], at[-2]))
    *_, pixel, channel = sch.get_loops(block)
    sch.reorder(channel, pixel)
    sch.unroll(channel)
    sch.vectorize(pixel)
    sch.tensorize(each, interleave(channels, masked))
    return [*rows, tile]


@cache
def interleave(channels: int, masked: bool) -> str:
    """16 bytes each of so many channels, side by side. Registers the tensor intrinsic and gives its name.

    masked : store them at once, as what a vector of 64 bytes begins with.
    """

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        stride = T.int32()
        A = T.match_buffer(a, (channels, PIXELS), "uint8", strides=[stride, 1], offset_factor=1, scope="local")
        C = T.match_buffer(c, (PIXELS, channels), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:channels, 0:PIXELS])
            T.writes(C[0:PIXELS, 0:channels])
            for pixel, channel in T.grid(PIXELS, channels):
                with T.sblock("byte"):
                    p, k = T.axis.remap("SS", [pixel, channel])
                    C[p, k] = A[k, p]

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        stride = T.int32()
        A = T.match_buffer(a, (channels, PIXELS), "uint8", strides=[stride, 1], offset_factor=1, scope="local")
        C = T.match_buffer(c, (PIXELS, channels), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:channels, 0:PIXELS])
            T.writes(C[0:PIXELS, 0:channels])
            if masked:
                T.evaluate(_stored_at_once(C, _interleaved(A, PIXELS)))
            else:
                C[0, T.ramp(T.int32(0), 1, PIXELS * channels)] = T.reinterpret(
                    _interleaved(A, 4 * channels), dtype=f"uint8x{PIXELS * channels}"
                )

    return register(f"tvmopt.planes.{channels}.{masked}", description, implementation)


def _interleaved(planes: T.Buffer, length: int) -> T.Expr:
    """Words of 16 pixels' bytes, and then the last one again up to ``length``."""
    channels = int(planes.shape[0])
    pixel = T.cast(planes.vload([0, 0], "uint8x16"), "uint32x16")
    for channel in range(1, channels):
        pixel |= T.cast(planes.vload([channel, 0], "uint8x16"), "uint32x16") << T.broadcast(T.uint32(8 * channel), 16)
    within = [4 * min(i // channels, 3) + i % channels for i in range(16)]  # of 4 pixels: theirs come first
    ordered = Shuffle([T.reinterpret(pixel, dtype="uint8x64")], [16 * q + at for q in range(4) for at in within])
    order = [4 * q + i for q in range(4) for i in range(channels)]
    return Shuffle([T.reinterpret(ordered, dtype="int32x16")], order + order[-1:] * (length - len(order)))


def _stored_at_once(pixels: T.Buffer, words: T.Expr) -> T.Expr:
    """The first words of a vector of 64 bytes: LLVM would store 48 bytes in two parts, with a shuffle each."""
    first = first_lanes(16, T.int32(4 * int(pixels.shape[1])))
    return T.call_llvm_intrin("void", "llvm.masked.store", words, T.address_of(pixels[0, 0]), first)

"""Schedule of "image" functions: float32 planes [N, 3, H, W] become bytes of pixels [N, rows, elements] with margins.

    for rows, spread over threads:
        margins = zero point
        for tiles of 16 pixels, by two:
            words[3][16] = int32 of x * high + x * low                  # a vector for each plane
            out[48] = words, saturated to bytes as they are packed      # and put in order by two shuffles

Saturation twice, to 16 bits and to 8, leaves room for the zero point between. Written by hand, since no tensor
intrinsic has scalars among its operands.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.stmt import SBlock
from tvm.script import tirx as T
from tvm.tirx import Buffer, BufferStore, ForKind, IfThenElse, PrimFunc, Ramp, Shuffle, Stmt, const

from ._common import parallel
from ._tir import Expr, at, first_lanes, loop, replaced, sequence

PIXELS, VECTOR = 16, 64

BEYOND = 2.0**15
"""Of larger numbers the conversion to an integer makes the lowest; NaN stays, and becomes that."""


def schedule(func: PrimFunc) -> Schedule:
    """The scheduled function."""
    sch = Schedule(func)
    *_, row, element = sch.get_loops(sch.get_sblock("out"))
    sch.blockize(element)
    parallel(sch, func, row)
    above, left = (int(first) for first in func.attrs["tvmopt.first"])
    buffers = list(func.params)

    def written(block: SBlock, element: SBlock) -> SBlock:
        image, row, _ = (extent.min for extent in block.writes[0].region)
        body = _row(buffers, image, row, above, left)
        return SBlock(block.iter_vars, block.reads, block.writes, block.name_hint, body)

    return Schedule(replaced(sch.mod["main"], "out_o", written))


def _row(buffers: Sequence[Buffer], image: Expr, row: Expr, above: int, left: int) -> Stmt:
    """One row of the output."""
    x, zero_point, high, low, y = buffers
    _, channels, height, width = (int(extent) for extent in x.shape)
    elements = int(y.shape[-1])
    begin, end = left * channels, (left + width) * channels

    def border(first: int, last: int) -> list[Stmt]:
        byte = zero_point[0].astype("uint8")
        sizes = [min(VECTOR, last - start) for start in range(first, last, VECTOR)]
        return [
            BufferStore(y, T.broadcast(byte, size), [image, row, Ramp(first + i * VECTOR, const(1, "int32"), size)])
            for i, size in enumerate(sizes)
        ]

    together = 2 if width // PIXELS % 2 == 0 else 1

    def tiles(number: Expr) -> Stmt:
        first = [(number * together + tile) * PIXELS for tile in range(together)]
        planes = [
            [x.vload([image, plane, row - above, pixel], f"float32x{PIXELS}") for pixel in first]
            for plane in range(channels)
        ]
        integers = [[_nearest(vector, high[0], low[0]) for vector in plane] for plane in planes]
        mask = first_lanes(PIXELS, T.int32(PIXELS * channels // 4))
        stores = [
            T.call_llvm_intrin("void", "llvm.masked.store", words, at(y, image, row, begin + pixel * channels), mask)
            for pixel, words in zip(first, _pixels(*integers, zero_point[0]), strict=True)
        ]
        return sequence([tirx.Evaluate(store) for store in stores])

    all_tiles = loop(width // PIXELS // together, tiles, ForKind.SERIAL)
    pixels = sequence([*border(0, begin), all_tiles, *border(end, elements)])
    inside = tirx.all(row >= above, row < above + height)
    return IfThenElse(inside, pixels, sequence(border(0, elements)))


def _nearest(x: Expr, high: Expr, low: Expr) -> Expr:
    """16 int32 that are x / scale, rounded half to even, or saturated."""
    high, low = (T.broadcast(factor, PIXELS) for factor in (high, low))
    quotient = T.call_llvm_pure_intrin(f"float32x{PIXELS}", "llvm.fma", x, high, x * low)
    finite = T.min(T.broadcast(T.float32(BEYOND), PIXELS), quotient)
    return T.call_llvm_pure_intrin(
        "int32x16",
        "llvm.x86.avx512.mask.cvtps2dq.512",
        finite,
        T.broadcast(T.int32(0), PIXELS),
        T.int16(-1),
        T.int32(4),  # as the rounding mode says, which is half to even
    )


def _pixels(red: list[Expr], green: list[Expr], blue: list[Expr], zero_point: Expr) -> list[Expr]:
    """One or two tiles of int32 as bytes, those of a pixel side by side: 12 words each, and the last one again.

    The blue ones of two tiles are packed together.
    """
    to = T.broadcast(zero_point.astype("int16"), 32)

    def moved(first: Expr, second: Expr) -> Expr:
        pair = T.call_llvm_pure_intrin("int16x32", "llvm.x86.avx512.packssdw.512", first, second)
        return T.call_llvm_pure_intrin("int16x32", "llvm.sadd.sat", pair, to)

    blues, words = moved(blue[0], blue[-1]), [4 * q + word for q in range(4) for word in range(3)]
    tiles = []
    for number, colours in enumerate(zip(red, green, strict=True)):
        packed = T.call_llvm_pure_intrin("uint8x64", "llvm.x86.avx512.packuswb.512", moved(*colours), blues)
        plane = [0, 4, 8 + 4 * number]  # of 4 pixels in a quarter, whose planes are 4 bytes each
        quarter = [plane[i % 3] + i // 3 for i in range(12)]
        ordered = Shuffle([packed], [16 * q + byte for q in range(4) for byte in [*quarter, *quarter[-4:]]])
        tiles.append(Shuffle([T.reinterpret(ordered, dtype="int32x16")], words + words[-1:] * 4))
    return tiles

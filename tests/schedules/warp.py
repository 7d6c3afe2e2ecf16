"""Instructions of NVIDIA GPUs in numpy, for all warps of a grid at once. Sections are of the PTX ISA, version 9.1.

Registers are words in a thread's own memory; what lies in them is spread over the lanes of a warp as the tables say.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

LANE = np.arange(32)
GROUP, INDEX = LANE // 4, LANE % 4
"""``groupID`` and ``threadID_in_group`` of the tables."""


def _offset(pointer: Any, by: int) -> Any:
    return type(pointer)(pointer.memory, pointer.index + by)


def _read(grid: Any, pointer: Any, count: int) -> np.ndarray:
    """[threads, count] elements from ``pointer`` on."""
    return np.stack([grid.load(_offset(pointer, i)) for i in range(count)], axis=1)


def _write(grid: Any, pointer: Any, values: np.ndarray) -> None:
    for i in range(values.shape[1]):
        grid.store(_offset(pointer, i), values[:, i])


def _bytes(words: np.ndarray, dtype: type) -> np.ndarray:
    """[warps, 32, 4 * words] elements of 8 bits, of registers [threads, words]."""
    return np.ascontiguousarray(words, np.int32).view(dtype).reshape(-1, 32, 4 * words.shape[1])


def copy16(grid: Any, to: Any, source: Any, inside: Any, otherwise: Any) -> None:
    """cp.async (9.7.9.25.3.1) of 16 bytes where ``inside``; a store of four words ``otherwise`` elsewhere."""
    inside = np.broadcast_to(inside, grid.count).astype(bool)
    before = grid.active
    dtype = to.memory.data.dtype
    grid.aligned(to, 16, "cp.async")
    grid.chunks(to, before)
    fill = np.array([otherwise], np.int32).view(dtype)
    grid.active = before & inside
    if grid.active.any():
        grid.aligned(source, 16, "cp.async")
        words = np.ascontiguousarray(_read(grid, source, 16 // source.memory.data.itemsize)).view(dtype)
        for i in range(words.shape[1]):
            grid.copy_async(_offset(to, i), words[:, i])
    grid.active = before & ~inside
    if grid.active.any():
        for i in range(16 // dtype.itemsize):
            grid.store(_offset(to, i), fill[i % len(fill)])
    grid.active = before


def ldmatrix(grid: Any, r: Any, row: Any) -> None:
    """ldmatrix.x4 (9.7.14.5.15): lane 8 i + j points to row j of matrix i; lane l gets bytes 4 (l % 4) of row l / 4."""
    grid.warps("ldmatrix")
    grid.aligned(row, 16, "ldmatrix")
    grid.chunks(row, grid.active)
    matrices = _read(grid, row, 16).reshape(-1, 4, 8, 4, 4)  # [warps, matrix, row, word, byte]
    words = np.ascontiguousarray(matrices[:, :, GROUP, INDEX]).view(np.int32)[..., 0]  # [warps, matrix, lane]
    _write(grid, r, words.transpose(0, 2, 1).reshape(-1, 4))


def mma(grid: Any, c: Any, a: Any, b: Any, right: type = np.int8) -> None:
    """mma.m16n8k32 (9.7.14.5.10), a: u8, b: s8 or u8."""
    grid.warps("mma")
    x = _bytes(_read(grid, a, 4), np.uint8)
    w = _bytes(_read(grid, b, 2), right)
    A, B = np.zeros((len(x), 16, 32), np.int32), np.zeros((len(x), 32, 8), np.int32)
    for i in range(16):
        A[:, GROUP + (8 if i // 4 % 2 else 0), INDEX * 4 + i % 4 + (16 if i >= 8 else 0)] = x[:, :, i]
    for i in range(8):
        B[:, INDEX * 4 + i % 4 + (16 if i >= 4 else 0), GROUP] = w[:, :, i]
    _accumulate(grid, c, A @ B)


def row_sum(grid: Any, s: Any) -> None:
    """Two shfl.sync.bfly (9.7.9.6): every lane of four gets the sum of theirs."""
    grid.warps("shfl")
    grid.store(s, _of_four(grid, s).reshape(-1))


def column_sum(grid: Any, s: Any) -> None:
    """The same, then two shfl.sync.idx: lane l gets the sums of lanes l % 4 * 8 and 4 more."""
    grid.warps("shfl")
    sums = _of_four(grid, s)
    for i in range(2):
        grid.store(_offset(s, i), sums[:, INDEX * 8 + i * 4].reshape(-1))


def _of_four(grid: Any, s: Any) -> np.ndarray:
    """[warps, 32], the sums of each four lanes."""
    return grid.load(s).reshape(-1, 8, 4).sum(2, dtype=np.int32).repeat(4, axis=1)


def mma_sp(grid: Any, c: Any, a: Any, b: Any, e: Any) -> None:
    """mma.sp m16n8k64 (9.7.14.6.2.6), a: s8 with two of every four stored, b: u8.

    Of every lane's metadata word, nibble i tells of four i of half a row, lower positions first; lane 4 g + t has row
    g, or g + 8 where t is odd, and columns from 32 on where t / 2 is 1 (figures 136 and 137). ``ordered_metadata``:
    positions ascend (9.7.14.6.1).
    """
    grid.warps("mma.sp")
    values = _bytes(_read(grid, a, 4), np.int8)
    x = _bytes(_read(grid, b, 4), np.uint8)
    word = np.broadcast_to(e, grid.count).astype(np.int64).reshape(-1, 32)
    stored, positions = np.zeros((len(x), 16, 32), np.int32), np.zeros((len(x), 16, 32), np.int32)
    for i in range(16):
        stored[:, GROUP + (8 if i // 4 % 2 else 0), INDEX * 4 + i % 4 + (16 if i >= 8 else 0)] = values[:, :, i]
        positions[:, GROUP + INDEX % 2 * 8, INDEX // 2 * 16 + i] = word >> (2 * i) & 3
    assert (positions[..., ::2] < positions[..., 1::2]).all(), "metadata that does not ascend"
    A, B = np.zeros((len(x), 16, 64), np.int32), np.zeros((len(x), 64, 8), np.int32)
    warps, rows, columns = np.indices(stored.shape)
    A[warps, rows, columns // 2 * 4 + positions] = stored
    for i in range(16):
        B[:, INDEX * 4 + i % 4 + i // 4 * 16, GROUP] = x[:, :, i]
    _accumulate(grid, c, A @ B)


def _accumulate(grid: Any, c: Any, product: np.ndarray) -> None:
    """Add [warps, 16, 8] to the accumulators of mma.m16n8: rows l / 4 and 8 more, columns l % 4 * 2 and the next."""
    sums = _read(grid, c, 4)
    for i in range(4):
        sums[:, i] += product[:, GROUP + (8 if i >= 2 else 0), INDEX * 2 + i % 2].reshape(-1)
    _write(grid, c, sums)


def dp4a(grid: Any, c: Any, a: Any, b: Any, right: type = np.int8) -> None:
    """dp4a.u32.s32, or .u32 (9.7.1.24)."""
    x, w = (np.broadcast_to(word, grid.count).astype(np.int32)[:, None] for word in (a, b))
    product = (np.ascontiguousarray(x).view(np.uint8).astype(np.int32) * np.ascontiguousarray(w).view(right)).sum(1)
    grid.store(c, grid.load(c) + product.astype(np.int32))


def move(grid: Any, to: Any, source: Any, size: int) -> None:
    """A load, or a store, of one, two or four words."""
    kinds = [end.memory.data.dtype for end in (to, source)]
    for end in (to, source):
        grid.aligned(end, size, "a vector")
        if size == 16:
            grid.chunks(end, grid.active)
    read = np.ascontiguousarray(_read(grid, source, size // kinds[1].itemsize))
    _write(grid, to, read.view(kinds[0]))


def fma(grid: Any, x: Any, y: Any, z: Any) -> Any:
    """``__fmaf_rn``, for products that float64 holds exactly."""
    return (np.float64(x) * np.float64(y) + np.float64(z)).astype(np.float32)


FUNCTIONS = {
    "__fmaf_rn": fma,
    "tvmopt_column_sum": column_sum,
    "tvmopt_commit": lambda grid: grid.commit(),
    "tvmopt_copy16": copy16,
    "tvmopt_dp4a": dp4a,
    "tvmopt_dp4a_u8": partial(dp4a, right=np.uint8),
    "tvmopt_ldmatrix": ldmatrix,
    "tvmopt_mma": mma,
    "tvmopt_mma_sp": mma_sp,
    "tvmopt_mma_u8": partial(mma, right=np.uint8),
    "tvmopt_move16": partial(move, size=16),
    "tvmopt_move4": partial(move, size=4),
    "tvmopt_move8": partial(move, size=8),
    "tvmopt_row_sum": row_sum,
    "tvmopt_wait": lambda grid, groups: grid.wait(int(groups)),
}

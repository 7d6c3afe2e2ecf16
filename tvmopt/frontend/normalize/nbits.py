"""Products with a weight of few bits, quantized in blocks and packed -> DequantizeLinear and MatMul."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...errors import UnsupportedError
from ..contrib import DOMAIN
from ..fold import constant
from .builder import Builder, Rule


def _matmul_nbits(to: Builder) -> Sequence[ir.Value]:
    """MatMulNBits(A, B, scales, zero_points, bias) -> MatMul(A, DQ(B, scales, zero_points)) + bias.

    B becomes uint8 with a block in each row, so that scales go along an axis: [N * blocks, block_size] -> [N, K] ->
    [K, N]. Products are computed in float32, whatever ``accuracy_level`` allows.
    """
    x, packed, scales, zeros, groups, bias = (to.input(i) for i in range(6))
    assert x is not None
    attributes = to.node.attributes
    length, outputs, block = (attributes.get_int(name) for name in ("K", "N", "block_size"))
    bits = attributes.get_int("bits", 4)
    weight, factors, points = constant(packed), constant(scales), constant(zeros)
    if weight is None or factors is None or (zeros is not None and points is None):
        raise UnsupportedError("MatMulNBits with a weight that is computed is not supported", node=to.node.name)
    if groups is not None or attributes.get_int("weight_prepacked", 0) or bits not in (2, 4, 8):
        reason = (
            f"MatMulNBits of {bits} bits" if bits not in (2, 4, 8) else "MatMulNBits with g_idx or weight_prepacked"
        )
        raise UnsupportedError(f"{reason} is not supported", node=to.node.name)
    if points is not None and points.dtype != np.uint8:
        raise UnsupportedError("MatMulNBits with zero points that are not packed is not supported", node=to.node.name)
    blocks = -(-length // block)
    rows = _unpacked(weight.reshape(outputs * blocks, -1), bits)
    if points is None:
        points = np.full(outputs * blocks, 1 << (bits - 1), np.uint8)
    else:
        points = _unpacked(points.reshape(outputs, -1), bits)[:, :blocks].reshape(-1)
    scale = to.constant(factors.astype(np.float32).reshape(-1))
    value = to.dequantize(to.constant(rows), scale, to.constant(points), axis=0)
    value = to.op("Reshape", value, to.constant(np.array([outputs, blocks * block], np.int64)))
    if length < blocks * block:
        first, last, axis = (to.constant(np.array([i], np.int64)) for i in (0, length, 1))
        value = to.op("Slice", value, first, last, axis)
    value = to.op("MatMul", _as(to, x, ir.DataType.FLOAT), to.op("Transpose", value, perm=[1, 0]))
    if bias is not None:
        value = to.op("Add", value, _as(to, bias, ir.DataType.FLOAT))
    return [_as(to, value, x.dtype)]


def _unpacked(array: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of ``bits`` bits out of uint8 [rows, bytes], the lowest first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((array[..., None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(len(array), -1)


def _as(to: Builder, value: ir.Value, dtype: ir.DataType | None) -> ir.Value:
    if dtype in (None, ir.DataType.FLOAT) and value.dtype in (None, ir.DataType.FLOAT):
        return value
    return to.op("Cast", value, to=dtype or ir.DataType.FLOAT)


RULES: dict[tuple[str, str], Rule] = {(DOMAIN, "MatMulNBits"): _matmul_nbits}

"""Where the tensors of ``main`` lie: each in every storage that a kernel has asked for so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from ..quant.order import Order, channels_last, plain, same_memory
from ..quant.relax_form.scope import constant
from .kernel import Margins, Stored

_OTHER = {"int8": "uint8", "uint8": "int8"}


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of ``main``.

    Attributes
    ----------
    shape : as in ONNX.
    dtype : as in ONNX.
    held  : (order, dtype) -> the Relax expression that has the tensor in that storage; never empty.
            An 8-bit tensor of the other signedness has every value shifted by 128.
    margins : of the only storage that a tensor with margins has.
    """

    shape: tuple[int, ...]
    dtype: str
    held: dict[tuple[Order, str], relax.Expr]
    margins: Margins | None = None

    @staticmethod
    def of(expr: relax.Expr) -> Value:
        """An expression that has the tensor as ONNX has it."""
        shape = tuple(int(dim) for dim in expr.ty.shape)
        dtype = str(expr.ty.dtype)
        return Value(shape, dtype, {(tuple(range(len(shape))), dtype): expr})

    @staticmethod
    def at(stored: Stored, dtype: str, expr: relax.Expr) -> Value:
        """A kernel's output. dtype: of the tensor in ONNX."""
        return Value(stored.shape, dtype, {(stored.order, stored.dtype): expr}, stored.margins)

    @property
    def first(self) -> tuple[Order, str]:
        """The storage it was computed in."""
        return next(iter(self.held))

    @property
    def stored(self) -> Stored:
        """The storage in which a kernel would best read it: as it was computed."""
        order, dtype = self.first
        rank = len(self.shape)
        if rank >= 3 and same_memory(order, channels_last(rank), self.shape):
            return Stored(self.shape, dtype, channels_last=True, margins=self.margins)
        if same_memory(order, plain(rank), self.shape):
            return Stored(self.shape, dtype)
        return Stored(self.shape, dtype, permuted=order)

    def permuted(self, axes: Sequence[int]) -> Value:
        """ONNX Transpose: nothing moves, the same memory is another tensor."""
        held = {(tuple(axes.index(axis) for axis in order), dtype): expr for (order, dtype), expr in self.held.items()}
        return Value(tuple(self.shape[axis] for axis in axes), self.dtype, held)


def fetch(builder: relax.BlockBuilder, value: Value, order: Order, dtype: str) -> relax.Expr:
    """``value`` in one storage: remembered, or converted now by emitting a transpose, a shift by 128, or both."""
    if (order, dtype) not in value.held:
        if dtype not in {held for _, held in value.held}:
            at, _ = value.first
            value.held[at, dtype] = _shifted(builder, fetch(builder, value, at, _OTHER[dtype]), dtype)
        if (order, dtype) not in value.held:
            at = next(at for at, held in value.held if held == dtype)
            value.held[order, dtype] = _reordered(builder, value, value.held[at, dtype], at, order)
    return value.held[order, dtype]


def original(builder: relax.BlockBuilder, value: Value) -> relax.Expr:
    """``value`` as ONNX has it."""
    return fetch(builder, value, tuple(range(len(value.shape))), value.dtype)


def _shifted(builder: relax.BlockBuilder, expr: relax.Expr, dtype: str) -> relax.Expr:
    """Every value moved by 128 into the other 8-bit dtype: the top bit flipped."""
    if isinstance(expr, GenericConst):
        return relax.const((expr.value.numpy().view(np.uint8) ^ np.uint8(128)).view(dtype))
    flipped = relax.op.bitwise_xor(relax.op.astype(expr, "uint8"), relax.const(np.uint8(128)))
    return builder.emit(relax.op.astype(flipped, dtype))


def _reordered(builder: relax.BlockBuilder, value: Value, expr: relax.Expr, at: Order, to: Order) -> relax.Expr:
    axes = [at.index(axis) for axis in to]
    if isinstance(expr, GenericConst):
        return constant(expr.value.numpy().transpose(axes).copy())
    if same_memory(at, to, value.shape):
        return builder.emit(relax.op.reshape(expr, [value.shape[axis] for axis in to]))
    return builder.emit(relax.op.permute_dims(expr, axes))


def reshaped(builder: relax.BlockBuilder, value: Value, shape: tuple[int, ...]) -> Value:
    """ONNX Reshape, which reads the elements in ONNX order; the dtype they are stored in stays."""
    identity = tuple(range(len(value.shape)))
    ready = (key for key in value.held if same_memory(key[0], identity, value.shape))
    at, dtype = next(ready, (identity, value.first[1]))
    expr = builder.emit(relax.op.reshape(fetch(builder, value, at, dtype), shape))
    return Value(shape, value.dtype, {(tuple(range(len(shape))), dtype): expr})

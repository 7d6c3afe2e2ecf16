"""The epilogue of a result that is combined with another tensor before anything is stored.

acc -> requantize -> add other -> requantize -> store          all in registers
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tvm import te

from ..quant.regions import Residual
from ..target import Target
from .arith import Expr
from .combine import Combine
from .dispatch import as_stored
from .epilogue import DynamicEpilogue, Epilogue
from .kernel import Stored

T = TypeVar("T")


class ResidualEpilogue:
    """An ``Epilogue`` whose elements are combined with those of another tensor at the same index."""

    def __init__(self, own: Epilogue, region: Residual, other: te.Tensor, stored: Stored, target: Target) -> None:
        """own : of the product. other : of the shape that the output has in the function; stored as ``stored``."""
        assert own.y is not None
        self._own, self._other, self._second = own, other, region.second
        params = own.y, as_stored(region.combine.a if region.second else region.combine.b, stored)
        self._combine = Combine(region.combine, *self._ordered(*params), target)
        self._scales = te.placeholder(self._combine.scales.shape, self._combine.scales.dtype.name, "scale")
        self.dtype, self.bounded = self._combine.dtype, self._combine.bounded
        self.params, self.constants = (*own.params, self._scales), (*own.constants, self._combine.scales)

    def __call__(self, acc: Expr, *index: Expr) -> Expr:
        """The stored element at an index for an int32 sum of products."""
        return self._combine(*self._operands(acc, index), self._scales, self._combine.limits)

    def rounded(self, acc: Expr, *index: Expr) -> Expr:
        """The int32 that is ``narrowed`` to the stored element."""
        return self._combine.rounded(*self._operands(acc, index), self._scales)

    def _operands(self, acc: Expr, index: Sequence[Expr]) -> tuple[Expr, Expr]:
        own, other = self._ordered(*self._combine.offsets)
        return self._ordered(self._own.less(own, acc, *index), self._combine.operand(self._other(*index), other))

    def _ordered(self, own: T, other: T) -> tuple[T, T]:
        return (other, own) if self._second else (own, other)


AnyEpilogue = Epilogue | ResidualEpilogue | DynamicEpilogue


def attach(
    epilogue: Epilogue | DynamicEpilogue,
    region: Residual | None,
    stored: Sequence[Stored],
    shape: Sequence[int],
    target: Target,
) -> tuple[AnyEpilogue, list[te.Tensor]]:
    """The epilogue of a product, or of the residual region that it is part of, and the other tensor, if there is one.

    stored : the other tensor, alone. shape : of the output in the function.
    """
    if region is None:
        return epilogue, []
    assert isinstance(epilogue, Epilogue)
    (held,) = stored
    other = te.placeholder(shape, held.dtype, "other")
    return ResidualEpilogue(epilogue, region, other, held, target), [other]

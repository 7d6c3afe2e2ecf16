"""Some of TVM's converters write TIR functions of their own; here these become Relax ops, which passes know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, topi


class RelaxBuilder:
    """A BlockBuilder that emits a Relax op where ``emit_te`` is asked for the same in TOPI."""

    def __init__(self, builder: relax.BlockBuilder) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def emit_te(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> relax.Var:
        """As ``BlockBuilder.emit_te``."""
        op = _OPS.get(function)
        if op is None:
            return self._builder.emit_te(function, *args, **kwargs)
        return self._builder.emit(op(*args, **kwargs))


def _maximum(x: relax.Expr, bound: relax.Expr | float) -> relax.Expr:
    return relax.op.maximum(x, _constant(bound, x))


def _minimum(x: relax.Expr, bound: relax.Expr | float) -> relax.Expr:
    return relax.op.minimum(x, _constant(bound, x))


def _constant(value: relax.Expr | float, like: relax.Expr) -> relax.Expr:
    return relax.const(value, str(like.ty.dtype)) if isinstance(value, float) else value


def _pad(x: relax.Expr, before: list[int], after: list[int], value: float) -> relax.Expr:
    widths = [int(width) for pair in zip(before, after, strict=True) for width in pair]
    return relax.op.nn.pad(x, widths, "constant", value)


_OPS: dict[Callable[..., Any], Callable[..., relax.Expr]] = {
    topi.maximum: _maximum,
    topi.minimum: _minimum,
    topi.flip: relax.op.flip,
    topi.nn.pad: _pad,
    topi.tile: relax.op.tile,
}

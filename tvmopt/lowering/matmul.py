"""Matrix products: with a constant matrix (any leading axes are rows), or of two activations in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from tvm import te

from ..quant.order import plain
from ..quant.regions import MatMul, Residual
from ..target import Target
from .arith import Expr
from .contraction import Place, contract, finish, operands, rows
from .dispatch import activation, as_stored, lower, wants
from .epilogue import DynamicEpilogue, Epilogue, largest_sums
from .kernel import Kernel, Stored
from .packing import INT4, Packing, choose
from .residual import attach
from .window import guarded


@wants.register
def _(region: MatMul, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    # where its zero point is an input too, the first one keeps its signedness
    kept = 3 if region.a is None else 0
    dtypes = [x.dtype if i < kept else activation(x.dtype, target) for i, x in enumerate(inputs)]
    # a GPU copies elements one by one where they lie apart, which takes less than a kernel that brings them together
    anyhow = region.weight is None and target.cuda is not None
    orders = [x.order if anyhow and x.order != plain(len(x.shape)) else None for x in inputs]
    return tuple(Stored(x.shape, dtype, permuted=order) for x, dtype, order in zip(inputs, dtypes, orders, strict=True))


@lower.register
def _(region: MatMul, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    if region.weight is None:
        return _activations(region, inputs, out_shape, target)
    return multiply(region, inputs, out_shape, target)


def multiply(
    region: MatMul,
    inputs: tuple[Stored, ...],
    out_shape: tuple[int, ...],
    target: Target,
    pairs: bool = False,
    residual: Residual | None = None,
) -> Kernel:
    """The kernel of a product with a constant matrix.

    pairs    : it is 2:4, and stored so.
    residual : the region that it is the product of, whose other input comes last.
    """
    assert region.weight is not None
    inputs, others = (inputs, ()) if residual is None else (inputs[:-1], inputs[-1:])
    count, length = prod(out_shape[:-1]), inputs[0].shape[-1]
    matrix = te.placeholder((count, length), inputs[0].dtype, "x")
    sources = [matrix, *(te.placeholder(x.physical, x.dtype, f"x{i}") for i, x in enumerate(inputs[1:], 1))]
    weight = (region.weight.astype(np.int16) - region.b.zero_point.astype(np.int16)).T  # [N, K]
    form = replace(choose(target, inputs[0].dtype, weight, count), pairs=pairs)
    sums = weight.sum(1, dtype=np.int64)
    packed = form.pack(weight)
    w = operands(packed)
    acc = contract((count,), w[0], rows(matrix, form), positions=w[1] if form.pairs else None, int4=form.w == INT4)
    reach = largest_sums(weight)
    own = epilogue_of(region, inputs[0], sources, form.shift(inputs[0].dtype), sums, target, reach)
    epilogue, beside = attach(own, residual, others, (count, out_shape[-1]), target)
    func = finish([*sources, *beside, *w, *epilogue.params], acc, out_shape[-1], epilogue, form)
    return Kernel(func, (*packed, *epilogue.constants), Stored(out_shape, epilogue.dtype))


def epilogue_of(
    region: MatMul,
    a: Stored,
    sources: Sequence[te.Tensor],
    shift: int,
    sums: np.ndarray,
    target: Target,
    reach: np.ndarray | None = None,
) -> Epilogue | DynamicEpilogue:
    """shift : what was added to a's elements before they were multiplied; sums : of the weights, per column;
    reach : see ``Epilogue``."""
    if region.a is None:
        return DynamicEpilogue((sources[1], sources[2]), shift, region.b, sums, region.bias)
    bias = -(int(as_stored(region.a, a).zero_point) + shift) * sums
    float_bias = region.bias if region.bias is not None and region.bias.dtype == np.float32 else None
    if region.bias is not None and float_bias is None:
        bias = bias + region.bias
    return Epilogue((region.a, region.b), region.y, region.clamp, bias, target, region.requantize, float_bias, reach)


def _activations(region: MatMul, inputs: Sequence[Stored], out_shape: tuple[int, ...], target: Target) -> Kernel:
    """Both factors are packed at run time.

    Where bytes are multiplied they stay as they are, or change their signedness, and ``a_zp * sum(b) + b_zp * sum(a) -
    K * a_zp * b_zp`` is taken off the sum of their products. Elsewhere they are centered to 16 bits first.
    """
    sources = [te.placeholder(x.physical, x.dtype, f"x{i}") for i, x in enumerate(inputs)]
    a, b = _view(sources[0], inputs[0]), _view(sources[-1], inputs[-1])
    *batch, m, n = out_shape
    form = choose(target, inputs[0].dtype, np.zeros(0))
    a_zp, b_zp = _zero_point(region, inputs[0], sources), int(as_stored(region.b, inputs[-1]).zero_point)
    correction = None
    if form.depth >= 4:
        shift, lowered = form.shift(inputs[0].dtype), 128 * ((inputs[-1].dtype == "uint8") - (form.w == "uint8"))
        left, right = _staged_rows(a, form, -shift), _staged_columns(b, form, lowered)
        correction = _correction(a, b, (shift, -lowered), (a_zp + shift, b_zp - lowered))
    else:
        form = Packing(form.lanes, form.depth, "int16", "int16")
        left, right = _staged_rows(a, form, a_zp), _staged_columns(b, form, b_zp)
    acc = contract(
        (*batch, m),
        right,
        lambda place, block, taps, k: left(*_broadcast(place[:-1], a.shape), place[-1], k),
        lambda place: _broadcast(place[:-1], b.shape),
    )
    zeros, reach = np.zeros(n, np.int64), np.full(n, int(a.shape[-1]) * 255**2)
    epilogue = epilogue_of(region, inputs[0], sources, 0, zeros, target, reach)
    func = finish([*sources, *epilogue.params], acc, out_shape[-1], epilogue, form, correction)
    return Kernel(func, epilogue.constants, Stored(out_shape, epilogue.dtype))


def _view(source: te.Tensor, stored: Stored) -> te.Tensor:
    """A tensor with its axes as ONNX has them; its rule does not compute this, but reads the other one."""
    if stored.permuted is None:
        return source
    return te.compute(stored.shape, lambda *index: source(*stored.place(index)), name="view")


def _correction(
    a: te.Tensor, b: te.Tensor, shifts: tuple[int, int], zero_points: tuple[Expr, int]
) -> Callable[[Place, Expr], Expr]:
    """What is added to the sum of products of factors that are not centered, at a place and in a column.

    shifts : what the factors are multiplied higher than they are stored; zero_points : of what is multiplied.
    """
    length = int(a.shape[-1])
    a_zp, b_zp = zero_points
    k = te.reduce_axis((0, length), "k")
    rows = te.compute(
        a.shape[:-1], lambda *place: te.sum(a(*place, k).astype("int32") + shifts[0], axis=k), name="row_sums"
    )
    columns = te.compute(
        (*b.shape[:-2], b.shape[-1]),
        lambda *at: te.sum(b(*at[:-1], k, at[-1]).astype("int32") + shifts[1], axis=k),
        name="column_sums",
    )

    def correction(place: Place, column: Expr) -> Expr:
        *batch, row = place
        in_rows = rows(*_broadcast(batch, a.shape), row) * b_zp
        return a_zp * (length * b_zp - columns(*_broadcast(batch, b.shape), column)) - in_rows

    return correction


def _zero_point(region: MatMul, a: Stored, sources: Sequence[te.Tensor]) -> Expr:
    return sources[2]().astype("int32") if region.a is None else int(as_stored(region.a, a).zero_point)


def _staged_rows(a: te.Tensor, form: Packing, zero_point: Expr) -> te.Tensor:
    """a [*batch, M, K] less its zero point, with zeros up to a whole step."""
    *lead, length = (int(extent) for extent in a.shape)
    padded = form.steps(length) * form.depth
    if str(a.dtype) == form.x and padded == length and isinstance(zero_point, int) and zero_point == 0:
        return a

    def element(*index: Expr) -> Expr:
        value = (a(*index).astype("int32") - zero_point).astype(form.x)
        return guarded(_within(index[-1], length, form), value, 0)

    return te.compute((*lead, padded), element, name="stage")


def _staged_columns(b: te.Tensor, form: Packing, zero_point: int) -> te.Tensor:
    """b [*batch, K, N] packed at run time as ``Packing.pack`` packs constants."""
    *lead, length, columns = (int(extent) for extent in b.shape)
    shape = (*lead, form.blocks(columns), form.steps(length), form.lanes, form.depth)

    def element(*index: Expr) -> Expr:
        *batch, block, step, lane, inner = index
        k, column = step * form.depth + inner, block * form.lanes + lane
        conditions = _within(k, length, form)
        conditions += [column < columns] if columns % form.lanes else []
        return guarded(conditions, (b(*batch, k, column).astype("int32") - zero_point).astype(form.w), 0)

    return te.compute(shape, element, name="pack")


def _within(k: Expr, length: int, form: Packing) -> list[Expr]:
    """The condition that an element of the padded reduction exists, one for all that are read at once."""
    if length % form.depth == 0:
        return []
    return [k // form.unit < length // form.unit] if length % form.unit == 0 else [k < length]


def _broadcast(batch: Place, shape: Sequence[int]) -> list[Expr]:
    """Index into the leading axes of a factor of ``shape`` for an index into the broadcast ones."""
    own = shape[:-2]
    return [0 if int(extent) == 1 else index for index, extent in zip(batch[len(batch) - len(own) :], own, strict=True)]

"""The constant factor of a product with a float activation: quantized per column, or in blocks of each."""

from __future__ import annotations

import numpy as np

from .scope import Expr, Scope, Unfit


def blocked_matrix(expr: Expr, scope: Scope) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Quantized matrix [K, N], scale and zero point [blocks, N] of a factor [K, N]: any of

        dequantize(weight [K, N])                                              per tensor or per column
        permute_dims(dequantize(weight [N, K]))                                per tensor or per row
        permute_dims(reshape(dequantize(weight [N * blocks, K / blocks])))     per row

    None for what is not quantized, Unfit is raised for what is quantized otherwise.
    """
    turned = scope.call(expr, "relax.permute_dims")
    rows = expr if turned is None else turned.args[0]
    reshaped = scope.call(rows, "relax.reshape")
    source = rows if reshaped is None else reshaped.args[0]
    if scope.quantized(source) is None:
        return None
    weight, params = scope.weight(source, any_scale=True)
    if weight.ndim != 2 or expr.ty.ndim != 2:
        raise Unfit(f"its weight has {max(weight.ndim, expr.ty.ndim)} dimensions")
    length, outputs = (int(size) for size in expr.ty.shape)
    parameters: list[np.ndarray] = [part.reshape(part.shape or (1, 1)) for part in params.along(2)]
    if reshaped is not None:
        if params.axis == 1 or turned is None or length % weight.shape[1]:
            raise Unfit("its weight is not quantized in blocks along the reduced axis")
        weight = weight.reshape(outputs, length)
        parameters = [part.reshape(outputs if part.size > 1 else 1, -1) for part in parameters]
    if turned is not None:
        weight, parameters = weight.T, [part.T for part in parameters]
    if reshaped is None and params.axis is not None and parameters[0].shape[0] > 1:
        raise Unfit("its weight is quantized along the reduced axis, not per output column")
    shape = (max(1, parameters[0].size // outputs), outputs)
    scale, zero_point = (np.ascontiguousarray(np.broadcast_to(part, shape)) for part in parameters)
    return np.ascontiguousarray(weight), scale, zero_point

"""What compares or sums the elements along an axis, as TOSA operators."""

from __future__ import annotations

import tosa_serializer as ts

from ...quant.regions import ArgMax
from .graph import Graph, Tensor
from .value import Value, fetch

_NAN = ts.NanPropagationMode.PROPAGATE


def argmax(graph: Graph, region: ArgMax, x: Value, output: tuple[int, ...]) -> Value:
    """ARGMAX of the last axis: an Ethos-U55 or U65 compares nothing else."""
    rows = _rows(graph, x, region.axis)
    index = graph.add("ARGMAX", [rows], rows.shape[:-1], "int32", len(rows.shape) - 1, _NAN)
    return Value.plain(graph.reshape(index, output))


def _rows(graph: Graph, x: Value, axis: int) -> Tensor:
    """A value, of at least two dimensions, with an axis last."""
    rank = len(x.order)
    rows = fetch(graph, x, (*(other for other in range(rank) if other != axis), axis))
    return rows if rank > 1 else graph.reshape(rows, (1, *rows.shape))

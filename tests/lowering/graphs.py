"""Graphs of int8 regions and moves, written op by op, with their results in numpy beside them."""

from __future__ import annotations

import numpy as np
from tvm import relax

from tvmopt import backends
from tvmopt.lowering import lower
from tvmopt.model import Model, TensorSpec
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, Region
from tvmopt.quant.relax_form import to_function
from tvmopt.target import Target

from .harness import HOST
from .strategies import tensor


class Graph:
    """Builds ``main``; every tensor is a pair of its Relax variable and its value for the given inputs."""

    def __init__(self, **inputs: np.ndarray) -> None:
        self.inputs = inputs
        self.builder = relax.BlockBuilder()
        self.values: dict[relax.Var, np.ndarray] = {}
        self.params = [relax.Var(name, relax.TensorType(x.shape, str(x.dtype))) for name, x in inputs.items()]
        self.values.update(zip(self.params, inputs.values(), strict=True))
        self._scopes = [self.builder.function("main", self.params), self.builder.dataflow()]
        for scope in self._scopes:
            scope.__enter__()

    def op(self, call: relax.Expr, value: np.ndarray) -> relax.Var:
        """Emit an op whose result is ``value``."""
        var = self.builder.emit(call)
        self.values[var] = value
        return var

    def region(self, region: Region, *inputs: relax.Var) -> relax.Var:
        """Emit the call of a region's composite function."""
        function = to_function(region, [x.ty for x in inputs])
        call = relax.Call(self.builder.add_func(function, f"region{len(self.values)}"), list(inputs))
        return self.op(call, reference.run(region, *(self.values[x] for x in inputs)))

    def model(self, *outputs: relax.Var) -> tuple[Model, list[np.ndarray]]:
        """The model that returns ``outputs``, and their values."""
        result = self.builder.emit_output(relax.Tuple(outputs) if len(outputs) > 1 else outputs[0])
        self._scopes[1].__exit__(None, None, None)
        self.builder.emit_func_output(result)
        self._scopes[0].__exit__(None, None, None)
        expected = [self.values[output] for output in outputs]
        model = Model(
            self.builder.finalize(),
            tuple(TensorSpec(name, x.shape, str(x.dtype)) for name, x in self.inputs.items()),
            tuple(TensorSpec(f"y{i}", x.shape, str(x.dtype)) for i, x in enumerate(expected)),
        )
        return model, expected


def run(graph: Graph, *outputs: relax.Var, target: Target = HOST) -> None:
    """Compile, run, and compare with the expected values, bit for bit."""
    model, expected = graph.model(*outputs)
    results = backends.build(lower(model, target), target).run(graph.inputs)
    for got, wanted in zip(results.values(), expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def conv(x: QParams, channels: int, outputs: int, kernel: int = 3) -> Conv:
    """A convolution that keeps the size of its input."""
    w = QParams(np.full(outputs, 0.02, np.float32), np.zeros(outputs, np.int8), axis=0)
    weight = tensor((outputs, channels, kernel, kernel), "int8", outputs)
    y = QParams.per_tensor(0.9, 3, str(x.dtype))
    pad = (kernel // 2,) * 4
    return Conv(x, w, weight, np.arange(outputs, dtype=np.int32) * 50, y, y.range, (1, 1), pad, (1, 1))

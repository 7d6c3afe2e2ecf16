"""Graphs of int8 regions and moves, written op by op, with their results in numpy beside them."""

from __future__ import annotations

import numpy as np
from tvm import relax

from tvmopt.model import Model, TensorSpec
from tvmopt.quant import reference
from tvmopt.quant.regions import Region
from tvmopt.quant.relax_form import to_function


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

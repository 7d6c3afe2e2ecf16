"""Runs what an accelerator takes of a model by the TOSA reference model, beside the integer reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("tosa_serializer")
pytest.importorskip("ethosu.vela")

from tests.lowering import strategies
from tests.lowering.graphs import Graph
from tests.passes import interpreter
from tvmopt import target as targets
from tvmopt.backends.npu import support, tosa
from tvmopt.backends.npu.execute import Executable
from tvmopt.backends.npu.part import parts
from tvmopt.model import Model
from tvmopt.passes.partition import partition
from tvmopt.quant.regions import Region
from tvmopt.quant.subgraphs import channels_last, subgraphs
from tvmopt.target import EthosU

FAMILIES = ("edge/ethos-u55-128", "edge/ethos-u65-256", "edge/ethos-u85-256")
"""A target of each family."""

convolutions = strategies.convolutions().filter(
    lambda case: all(extra < stride for extra, stride in zip(case[0].output_padding, case[0].strides, strict=False))
)
"""Of any kind that Relax has."""


def accelerator(name: str) -> EthosU:
    found = targets.get(name).accelerator
    assert isinstance(found, EthosU)
    return found


def partitioned(model: Model, name: str = FAMILIES[-1]) -> Model:
    """A model of regions, what the target's NPU takes in subgraphs."""
    return partition(model, "ethos-u", support.supports(accelerator(name)))


def one(region: Region, *inputs: np.ndarray) -> Model:
    """A model that is one region."""
    graph = Graph(**{f"x{i}": x for i, x in enumerate(inputs)})
    return graph.model(graph.region(region, *graph.params))[0]


def stored(array: np.ndarray, last: bool) -> np.ndarray:
    """A tensor as a subgraph takes and gives it."""
    if array.dtype == np.int64:
        return array.astype(np.int32)
    array = array if array.dtype == np.int8 else (array ^ np.uint8(128)).view(np.int8)
    return np.moveaxis(array, 1, -1) if last and array.ndim >= 3 else array


def check(model: Model, count: int = 2) -> int:
    """Assert that every subgraph gives the integer reference's result; how many there are."""
    found = subgraphs(model.mod)
    rng = np.random.default_rng(0)
    for function in found.values():
        run = Executable(tosa.build(model.mod, function))
        last = channels_last(model.mod, function)
        for _ in range(count):
            inputs = []
            for param in function.params:
                info = np.iinfo(str(param.ty.dtype))
                shape = [int(size) for size in param.ty.shape]
                inputs.append(rng.integers(info.min, info.max, shape, str(param.ty.dtype), endpoint=True))
            expected = interpreter.function(model.mod, function, *inputs)
            got = run([stored(x, last) for x in inputs])
            for ours, wanted in zip(got, expected, strict=True):
                np.testing.assert_array_equal(ours, stored(wanted, last), strict=True)
    return len(found)


def accepted(split: Model, name: str) -> None:
    """Assert that Vela compiles every subgraph, with the inputs and outputs that it has."""
    for part in parts(split, accelerator(name)).values():
        compiled = part.compiled
        for tensors, places in ((part.graph.inputs, compiled.inputs), (part.graph.outputs, compiled.outputs)):
            sizes = [math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize for tensor in tensors]
            assert [place.bytes for place in places] == sizes
        assert compiled.commands.startswith(b"COP1")

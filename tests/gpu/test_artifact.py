"""Artifacts on a GPU: saved and loaded, called again and again, with arrays that stay where they are."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tvmopt
from tests.lowering.graphs import Graph
from tests.schedules.convolutions import matmul
from tvmopt import backends, demo, runtime
from tvmopt.errors import DeviceError, InputError
from tvmopt.lowering import lower
from tvmopt.runtime import Artifact, cuda
from tvmopt.target import Target

pytestmark = pytest.mark.hardware("NVIDIA GPU")

DEMO = demo.INT8_MODEL


@pytest.fixture(scope="module")
def artifact(gpu: Target, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("gpu") / "model.so"
    tvmopt.compile(DEMO, gpu).save(path)
    return runtime.open(path)


def feeds(artifact: Artifact, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.random(spec.shape).astype(spec.dtype) for spec in artifact.inputs}


def test_every_call_computes_anew(artifact):
    """The first call records a graph, which later ones replay."""
    host = tvmopt.compile(DEMO)
    for seed in (0, 1, 0, 2):
        x = feeds(artifact, seed)
        expected = host.run(x)
        for name, value in artifact.run(x).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_the_graph_of_a_thread_that_is_gone(gpu):
    """What it records must not be memory of that thread."""
    artifact = tvmopt.compile(DEMO, gpu)
    x, first = feeds(artifact, 4), {}
    thread = threading.Thread(target=lambda: first.update(artifact.run(x)))
    thread.start()
    thread.join()
    assert first
    for name, value in artifact.run(x).items():
        np.testing.assert_array_equal(value, first[name])


def test_arrays_on_the_gpu_stay_there(artifact):
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    x = feeds(artifact, 3)
    given = engine.upload(x)
    outputs = artifact.run(given)
    engine.synchronize()
    for name, value in artifact.run(x).items():
        assert int(outputs[name].__dlpack_device__()[0]) == 2
        np.testing.assert_array_equal(outputs[name].numpy(), value)


class Elsewhere:
    """An array of another library on a GPU, which lets the reader's stream wait for its own."""

    def __init__(self, array: Any, device: int = 0) -> None:
        self.array, self.device = array, device
        self.asked: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        self.asked.append(stream)
        return self.array.__dlpack__()


def test_another_library_is_told_of_the_default_stream(artifact):
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    x = feeds(artifact, 5)
    given = {name: Elsewhere(value) for name, value in engine.upload(x).items()}
    outputs = artifact.run(given)
    engine.synchronize()
    for name, value in artifact.run(x).items():
        np.testing.assert_array_equal(outputs[name].numpy(), value)
    assert [value.asked for value in given.values()] == [[1]]


def test_arrays_that_cannot_be_read_where_they_are(artifact):
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    ((name, value),) = engine.upload(feeds(artifact, 6)).items()
    with pytest.raises(InputError, match=f"'{name}': lies on GPU 1, the model on GPU 0"):
        artifact.run({name: Elsewhere(value, 1)})
    turned = np.asfortranarray(feeds(artifact, 6)[name])
    with pytest.raises(InputError, match=f"'{name}': cannot be read where it is: "):
        artifact.run({name: Elsewhere(turned)})


def test_a_split_product_in_a_graph(gpu: Target):
    """Two kernels that share a workspace, which every replay writes anew, and more shared memory than 48 KiB."""
    first, (x,) = matmul(48, 64, 2048)
    second = replace(matmul(48, 2048, 512)[0], a=first.y)
    cases = []
    for value in (x, -1 - x):
        graph = Graph(x=value)
        model, (expected,) = graph.model(graph.region(second, graph.region(first, *graph.params)))
        cases.append((value, expected))
    artifact = backends.build(lower(model, gpu), gpu)
    for value, expected in cases * 2:
        (got,) = artifact.run({"x": value}).values()
        np.testing.assert_array_equal(got, expected)
    if gpu.cuda is not None and gpu.cuda.number >= 80:
        kernels = artifact.manifest["cuda"]["kernels"].values()
        assert max(usage["shared"] for usage in kernels) > 48 * 1024
        assert len(kernels) > len(model.mod.functions) - 1


def test_a_wrong_array_on_the_gpu(artifact):
    import tvm

    (spec,) = artifact.inputs
    with pytest.raises(InputError, match="has shape"):
        artifact.run({spec.name: tvm.runtime.tensor(np.zeros((3, 3), spec.dtype), tvm.cuda(0))})


def test_full_memory(artifact):
    import tvm

    free = ctypes.c_size_t(), ctypes.c_size_t()
    ctypes.CDLL("libcuda.so.1").cuMemGetInfo_v2(ctypes.byref(free[0]), ctypes.byref(free[1]))
    with pytest.raises(DeviceError, match="too little free memory"), cuda._memory("model.so"):
        tvm.runtime.empty((2 * free[1].value,), "uint8", tvm.cuda(0))

"""exp without libm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tvm import te

from tvmopt import target as targets
from tvmopt.backends import library
from tvmopt.runtime.library import Library

from .harness import make_model

SIZE = 1 << 20


def exp(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i: te.exp(x[i]), name="exp")


@pytest.fixture(scope="module", params=["host", "x86/generic"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = tmp_path_factory.mktemp("exp") / "model.so"
    graph = make_model(lambda emit, x: emit(exp, x), x=((SIZE,), "float32"))
    path.write_bytes(library.build(graph, targets.get(request.param), {}))
    assert b"expf" not in path.read_bytes()
    return Library(path)


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance from the exact value in units of the last place of a float32 there."""
    spacing = np.spacing(exact.astype("float32")).astype("float64")
    return np.abs(got.astype("float64") - exact) / spacing


@pytest.mark.parametrize("bound", [1e-3, 1.0, 20.0, 87.0])
def test_accuracy(model: Library, bound: float) -> None:
    x = np.random.default_rng(0).uniform(-bound, bound, SIZE).astype("float32")
    got = model.run({"x": x})["y0"]
    assert ulps(got, np.exp(x.astype("float64"))).max() <= 1.0


def test_edges(model: Library) -> None:
    edges = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 88.72, 88.73, 100, 3e38, -103.9, -104.1, -3e38, 1e-40], "float32"
    )
    with np.errstate(over="ignore"):
        expected = np.exp(edges.astype("float64")).astype("float32")
    x = np.zeros(SIZE, "float32")
    x[: len(edges)] = edges
    got = model.run({"x": x})["y0"][: len(edges)]
    assert np.array_equal(got, expected, equal_nan=True)


def test_subnormal_results(model: Library) -> None:
    x = np.linspace(-103.5, -87.0, SIZE, dtype="float32")
    got = model.run({"x": x})["y0"]
    assert ulps(got, np.exp(x.astype("float64"))).max() <= 1.0


def test_same_bits_on_every_cpu(tmp_path: Path) -> None:
    """Also where the one fuses multiply-add and the other has no such instruction."""
    graph = make_model(lambda emit, x: emit(exp, x), x=((SIZE,), "float32"))
    x = np.random.default_rng(1).uniform(-90, 90, SIZE).astype("float32")
    results = []
    for name in ("host", "x86/generic"):
        path = tmp_path / f"{name.replace('/', '_')}.so"
        path.write_bytes(library.build(graph, targets.get(name), {}))
        results.append(Library(path).run({"x": x})["y0"])
    assert np.array_equal(*results)

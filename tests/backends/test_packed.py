"""Weights stored without their zeros: what is packed, what that saves, and that no bit of a result changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tvm import te

import tvmopt
from tests import tools
from tvmopt import backends
from tvmopt import target as targets
from tvmopt.backends import packed, program
from tvmopt.backends.embedded import Embedded
from tvmopt.errors import UnsupportedError
from tvmopt.runtime.artifact import Artifact

from .harness import check_same, lowered, make_model, negate
from .test_portable import by_host_compiler

COMPRESSED = Embedded(compress_weights=True)
BOARD = targets.get("arm/cortex-m4")


@given(arrays.arrays(np.int8, arrays.array_shapes(min_dims=2, max_dims=4, max_side=9), elements=st.integers(-2, 2)))
def test_every_weight_is_found_again(weight: np.ndarray) -> None:
    found = packed.encode(weight)
    tiles = weight.reshape(len(weight), -1)
    for tile, (begin, *words) in zip(tiles, found.bits.tolist(), strict=True):
        text = "".join(f"{word:032b}" for word in words)
        used = [bit == "1" for bit in text]
        assert not any(used[tile.size :])
        values = np.zeros(tile.size, np.int8)
        values[used[: tile.size]] = found.values[begin : begin + sum(used)]
        assert np.array_equal(values, tile)


def product(weight: np.ndarray, rows: int = 6) -> tvmopt.model.Model:
    """x int8 [rows, K] -> sums of products with a weight [R, K, 4], in one kernel."""

    def compute(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((0, x.shape[1]), name="k")
        return te.compute(
            (x.shape[0], w.shape[0], 4),
            lambda i, r, j: te.sum(x[i, k].astype("int32") * w[r, k, j].astype("int32"), axis=k),
            name="acc",
        )

    return make_model(lambda emit, x: emit(compute, x, weight), x=((rows, weight.shape[1]), "int8"))


def sparse(density: float, shape: tuple[int, ...] = (8, 99, 4)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.integers(1, 127, shape) * (rng.uniform(size=shape) < density)).astype(np.int8)


@pytest.mark.parametrize(("density", "shape"), [(0.2, (8, 99, 4)), (0.0, (8, 99, 4)), (0.1, (1, 450, 4))])
def test_same_bits(density: float, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Tiles that fill no whole words, none but zeros, and a weight of one tile."""
    weight = sparse(density, shape)
    library = by_host_compiler(product(weight), tmp_path, "-O1", options=COMPRESSED)
    (saving,) = library.manifest["memory"]["packed_weights"]
    assert saving["dense_bytes"] == weight.nbytes
    assert saving["bytes"] == 4 * shape[0] * (1 + -(-shape[1] * 4 // 32)) + max(1, np.count_nonzero(weight))
    x = np.random.default_rng(1).integers(-128, 128, (6, shape[1]), np.int8)
    expected = np.einsum("ik,rkj->irj", x.astype(np.int32), weight.astype(np.int32))
    assert np.array_equal(library.run({"x": x})["y0"], expected)


def test_what_saves_nothing_stays() -> None:
    steps = program.read(product(sparse(0.95)))
    found, savings = packed.pack(steps, "unpack")
    assert savings == []
    assert [tensor.data is None for tensor in found.tensors] == [tensor.data is None for tensor in steps.tensors]


def square(x: te.Tensor, w: te.Tensor) -> te.Tensor:
    """x int8 [N, K], w [K, K] -> x * w', modulo 256."""
    k = te.reduce_axis((0, x.shape[1]), name="k")
    return te.compute(x.shape, lambda i, r: te.sum(x[i, k] * w[r, k], axis=k), name="acc")


def test_weight_of_several_calls_stays() -> None:
    weight = sparse(0.1, (64, 64))

    once = make_model(lambda emit, x: emit(square, x, weight), x=((4, 64), "int8"))
    twice = make_model(lambda emit, x: emit(square, emit(square, x, weight), weight), x=((4, 64), "int8"))
    assert [len(packed.pack(program.read(model), "unpack")[1]) for model in (once, twice)] == [1, 0]


def test_kernel_that_would_be_needed_twice() -> None:
    """Two calls of one kernel, of which one has a dense weight: both stay, unless the other saves a kernel's bytes."""

    def steps_packed(size: int) -> list[int]:
        weights = sparse(0.2, (size, size)), sparse(1.0, (size, size))
        model = make_model(lambda emit, x: emit(square, emit(square, x, weights[0]), weights[1]), x=((4, size), "int8"))
        return [saving.step for saving in packed.pack(program.read(model), "unpack")[1]]

    assert steps_packed(32) == []
    assert steps_packed(64) == [0]


def test_weight_that_is_not_read_tile_by_tile() -> None:
    def compute(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda i, j: x[i, j] * w[(i + j) % w.shape[0], i], name="mixed")

    model = make_model(lambda emit, x: emit(compute, x, sparse(0.1, (20, 64))), x=((64, 64), "int8"))
    assert packed.pack(program.read(model), "unpack")[1] == []


@pytest.fixture(scope="module")
def pruned(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keyword spotting with 80 % of its weights zero, in no pattern."""
    path = tmp_path_factory.mktemp("pruned") / "kws.onnx"
    tvmopt.compress(shared / "models" / "mlperf-tiny" / "kws_dscnn_int8_qdq.onnx", path, prune="unstructured:0.8")
    return path


def code(artifact: Artifact) -> int:
    command = ["arm-none-eabi-size", artifact.path / "model_kernels.o"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(listed.splitlines()[1].split()[0])


def built(path: Path, core: str, **options: bool) -> Artifact:
    board = targets.get(f"arm/cortex-{core}")
    return backends.build(lowered(path, board, sparsity=False), board, options=Embedded(**options))


@pytest.mark.parametrize("core", ["m0plus", "m4", "m55"])
def test_pruned_network(core: str, pruned: Path) -> None:
    tools.need(*tools.BARE_METAL)
    dense, compressed = built(pruned, core), built(pruned, core, compress_weights=True)
    check_same(compressed, pruned, samples=2)
    before, after = (artifact.manifest["memory"] for artifact in (dense, compressed))
    saved = sum(row["dense_bytes"] - row["bytes"] for row in after["packed_weights"])
    assert saved > 8_000
    assert after["weights_bytes"] <= before["weights_bytes"] - saved + 8 * len(after["packed_weights"])
    assert after["workspace_bytes"] <= 1.1 * before["workspace_bytes"]
    assert f"packed weights: {saved} bytes saved" in (compressed.path / "model.plan.txt").read_text()
    assert code(compressed) - code(dense) < saved / 4


def test_only_for_microcontrollers() -> None:
    model = make_model(lambda emit, x: emit(negate, x), x=((8,), "int8"))
    with pytest.raises(UnsupportedError, match="compress_weights is for microcontrollers, and x86/generic is none"):
        backends.build(model, targets.get("x86/generic"), options=COMPRESSED)

"""Shared libraries: what they compute, what they need, and what is in them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tvm import relax, te

from benchmarks import models
from tvmopt import abi, backends
from tvmopt import target as targets
from tvmopt.backends import image, library, link, source
from tvmopt.model import Model
from tvmopt.runtime.library import Library

from .harness import lowered, make_model, mirror, negate


def build(model: Model, folder: Path, target: str = "host") -> Library:
    path = folder / "model.so"
    path.write_bytes(library.build(model, targets.get(target), {"target": target}))
    return Library(path)


def test_two_models_in_one_program(tmp_path: Path) -> None:
    """Each is linked by its own name; and opened as any other."""
    host, x = targets.get("host"), np.arange(8, dtype="int8")
    for name, kernel in (("first", negate), ("second", mirror)):
        made = make_model(lambda emit, x, kernel=kernel: emit(kernel, x), x=((8,), "int8"))
        path = tmp_path / f"{name}.so"
        path.write_bytes(library.build(made, host, {}, beside=path, name=name))
        assert np.array_equal(Library(path).run({"x": x})["y0"], -x if kernel is negate else x[::-1])
    (tmp_path / "both.c").write_text(
        '#include <stdio.h>\n#include "first.h"\n#include "second.h"\n'
        "int main(void) {\n"
        "  _Alignas(64) static char memory[1 << 16];\n"
        "  signed char x[8] = {0, 1, 2, 3, 4, 5, 6, 7}, y[8], z[8];\n"
        "  const void *const given[] = {x};\n"
        "  void *const first[] = {y}, *const second[] = {z};\n"
        "  if (tvmopt_first_run(given, first, memory) || tvmopt_second_run(given, second, memory)) return 1;\n"
        '  printf("%d %d\\n", y[7], z[7]);\n'
        "}\n"
    )
    command = [*link.compiler(host), "-std=c11", "-Wall", "-Werror", "-o", "both", "both.c", "first.so", "second.so"]
    subprocess.run([*command, "-Wl,-rpath,."], cwd=tmp_path, check=True)
    done = subprocess.run(["./both"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "-7 0\n"


def scale(x: te.Tensor, w: te.Tensor) -> te.Tensor:
    """x [N, K] float32, w [K] -> x * w."""
    return te.compute(x.shape, lambda i, k: x[i, k] * w[k], name="scale")


def softmax(x: te.Tensor) -> te.Tensor:
    """Rows of x [N, K]: exp, and scratch memory."""
    from tvm import topi

    return topi.nn.softmax(x)


def big_scratch(x: te.Tensor) -> te.Tensor:
    """x [N, K] -> x mirrored twice, through a copy that does not fit on the stack."""
    n, k = x.shape
    copy = te.compute((n, k), lambda i, j: x[i, k - 1 - j], name="copy")
    return te.compute((n, k), lambda i, j: copy[n - 1 - i, j], name="out")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, np.ndarray, Path]:
    """x -> scale -> big_scratch -> softmax, with outputs (softmax, scaled, x itself)."""
    weight = np.linspace(-1, 1, 64, dtype="float32")

    def graph(emit, x):
        scaled = emit(scale, x, weight)
        return emit(softmax, emit(big_scratch, scaled)), scaled, x

    folder = tmp_path_factory.mktemp("library")
    return build(make_model(graph, x=((40, 64), "float32")), folder), weight, folder / "model.so"


def test_computes(made: tuple[Library, np.ndarray, Path]) -> None:
    model, weight, _ = made
    x = np.random.default_rng(0).standard_normal((40, 64), dtype="float32")
    got = model.run({"x": x})
    mirrored = (x * weight)[::-1, ::-1]
    expected = np.exp(mirrored - mirrored.max(1, keepdims=True))
    np.testing.assert_allclose(got["y0"], expected / expected.sum(1, keepdims=True), rtol=1e-5)
    assert np.array_equal(got["y1"], x * weight)
    assert np.array_equal(got["y2"], x)


def test_needs_only_libc_and_libm(made: tuple[Library, np.ndarray, Path]) -> None:
    undefined = subprocess.run(["nm", "-D", "-u", made[2]], capture_output=True, text=True, check=True).stdout
    symbols = {line.split()[-1].partition("@")[0] for line in undefined.splitlines() if line.split()[0] == "U"}
    assert symbols <= {"memcpy", "memset"}
    dynamic = subprocess.run(["readelf", "-d", made[2]], capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line}
    assert needed <= {"libm.so.6", "libc.so.6"}


def test_exports_three_functions(made: tuple[Library, np.ndarray, Path]) -> None:
    listing = subprocess.run(["nm", "-D", "--defined-only", made[2]], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert names == {"tvmopt_model_run", "tvmopt_model_check", "tvmopt_model_describe"}


def test_weights_are_read_only(made: tuple[Library, np.ndarray, Path]) -> None:
    _, weight, path = made
    sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    (row,) = (line.split("]")[1].split() for line in sections.splitlines() if " .rodata " in line)
    start, size, flags = int(row[3], 16), int(row[4], 16), row[6]
    assert flags == "A", "neither writable nor executable"
    assert weight.tobytes() in path.read_bytes()[start : start + size]


def test_plan_is_in_the_manifest(made: tuple[Library, np.ndarray, Path]) -> None:
    model, _, _ = made
    memory = model.manifest["memory"]
    assert memory["workspace_bytes"] == model.workspace_bytes == memory["workspace_lower_bound"]
    assert any("scratch" in buffer["name"] for buffer in memory["buffers"])


@pytest.mark.parametrize(
    "name",
    [
        "kws",
        "ic",
        "vww",
        "ad",
        "mobilenet_v2-u8-qdq",
        "resnet50-s8-qdq",
        "bert_tiny-s8-qdq",
    ],
)
def test_workspace_is_about_as_small_as_the_live_tensors_allow(name: str, shared: Path) -> None:
    host = targets.get("host")
    made = image.make(lowered(models.get(name), host), host, "model", alignment=64, stack_bytes=4096, threads=1)
    (plan,) = made.layout.plans.values()
    assert 0 < plan.size <= 1.05 * plan.lower_bound


def test_in_place(tmp_path: Path) -> None:
    """A chain of elementwise kernels is computed in the caller's output."""
    model = build(make_model(lambda emit, x: emit(negate, emit(negate, emit(negate, x))), x=((999,), "int8")), tmp_path)
    assert model.workspace_bytes == 0
    x = np.arange(999, dtype="int16").astype("int8")
    assert np.array_equal(model.run({"x": x})["y0"], -x)
    assert np.array_equal(x, np.arange(999, dtype="int16").astype("int8")), "the input is the caller's"


def concatenated(*xs: te.Tensor) -> te.Tensor:
    from tvm import topi

    return topi.concatenate(xs, 0)


def test_parts_of_a_concatenation_are_computed_in_their_place(tmp_path: Path) -> None:
    """In the caller's output; but for x, which is the caller's, too, and is copied."""

    def graph(emit, x):
        return emit(concatenated, emit(negate, x), x, emit(mirror, x))

    model = build(make_model(graph, x=((100,), "int16")), tmp_path)
    assert model.workspace_bytes == 0
    assert model.manifest["memory"]["steps"][-1] == "put beside each other"
    x = np.arange(100, dtype="int16")
    assert np.array_equal(model.run({"x": x})["y0"], np.concatenate([-x, x, x[::-1]]))


def test_parts_in_their_place_only_where_that_saves_memory(tmp_path: Path) -> None:
    """a is computed long before b: in its place it would hold b's memory, too, while large tensors need it."""

    def graph(emit, x):
        a, wide = emit(total, x), emit(repeated, x)
        b = emit(total, emit(mirror, emit(mirror, wide)))
        return emit(mirror, emit(concatenated, a, emit(repeated, b)))

    def total(x: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((0, x.shape[0]))
        return te.compute((1,), lambda i: te.sum(x[k], axis=k), name="total")

    def repeated(x: te.Tensor) -> te.Tensor:
        return te.compute((1000,), lambda i: x[i % x.shape[0]], name="repeated")

    model = build(make_model(graph, x=((10,), "int32")), tmp_path)
    assert not any(step == "put beside each other" for step in model.manifest["memory"]["steps"])
    x = np.arange(10, dtype="int32")
    expected = np.concatenate([np.full(1000, 4500), [45]])
    assert np.array_equal(model.run({"x": x})["y0"], expected)


def test_sources_compile_without_a_warning(tmp_path: Path) -> None:
    model = make_model(lambda emit, x: emit(softmax, x), x=((3, 5), "float32"))
    model = model.replace(source='odd */ "name"?.onnx')
    host = targets.get("host")
    made = image.make(model, host, "net", alignment=16, stack_bytes=64, threads=1)
    source.write(made, tmp_path, {})
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    link.run([*link.compiler(host), *strict, "-c", "net.c", "net_data.S"], tmp_path)
    (tmp_path / "both.c").write_text('#include "net.h"\nint bytes[TVMOPT_NET_WORKSPACE_BYTES + 1];\n')
    link.run([*link.compiler(host), *strict, "-c", "both.c"], tmp_path)


def test_abi_of_header_and_loader() -> None:
    assert f"#define TVMOPT_ABI {abi.ABI} " in source.template("types.h").read_text()


def test_workspace_must_be_aligned(made: tuple[Library, np.ndarray, Path]) -> None:
    run = ctypes.CDLL(str(made[2])).tvmopt_model_run
    assert run(None, None, None) == 2
    assert run(None, None, ctypes.c_void_p(8)) == 2


def test_model_of_moves_only(tmp_path: Path) -> None:
    """Nothing to compute: outputs are a reshape of the input and a constant."""

    def graph(emit, x):
        flat = relax.BlockBuilder.current().emit(relax.op.reshape(x, (6,)))
        return flat, relax.BlockBuilder.current().emit(relax.const(np.arange(3, dtype="int32")))

    got = build(make_model(graph, x=((2, 3), "int8")), tmp_path).run({"x": np.arange(6, dtype="int8").reshape(2, 3)})
    assert np.array_equal(got["y0"], np.arange(6))
    assert np.array_equal(got["y1"], np.arange(3))


def test_header_is_saved_beside_the_library(tmp_path: Path) -> None:
    """And describes it: a C program that includes it links with it."""
    host = targets.get("host")
    backends.build(make_model(lambda emit, x: emit(negate, x), x=((8,), "int8")), host).save(tmp_path / "net.so")
    (tmp_path / "main.c").write_text(
        '#include "net.h"\n'
        "int main(void) {\n"
        "  signed char x[TVMOPT_MODEL_INPUT_0_BYTES] = {1, 2}, y[TVMOPT_MODEL_OUTPUT_0_BYTES];\n"
        "  _Alignas(TVMOPT_MODEL_WORKSPACE_ALIGNMENT) char workspace[TVMOPT_MODEL_WORKSPACE_BYTES + 1];\n"
        "  const void *inputs[] = {x};\n"
        "  void *outputs[] = {y};\n"
        "  return tvmopt_model_run(inputs, outputs, workspace) != TVMOPT_OK || y[0] != -1 || y[1] != -2 || y[7];\n"
        "}\n"
    )
    link.run([*link.compiler(host), "-std=c11", "main.c", "net.so", "-Wl,-rpath,.", "-o", "main"], tmp_path)
    subprocess.run(["./main"], cwd=tmp_path, check=True)


def test_plan_is_saved_beside_the_library(tmp_path: Path) -> None:
    """Who lives where in the workspace, and when; and what each step reads and writes."""
    model = make_model(lambda emit, x: emit(big_scratch, emit(big_scratch, x)), x=((40, 64), "float32"))
    backends.build(model, targets.get("host")).save(tmp_path / "net.so")
    rows = [line.split() for line in (tmp_path / "net.plan.txt").read_text().splitlines()]
    assert ["0", "10240", "0..0", "scratch", "of", "big_scratch"] in rows
    assert ["0", "10240", "1..1", "scratch", "of", "big_scratch"] in rows
    steps = {row[0]: row[1:] for row in rows if "->" in row}
    assert steps["0"][:3] == ["tvmopt_model_big_scratch:", "x", "(inputs[0])"]
    assert steps["1"][-1] == "(outputs[0])"

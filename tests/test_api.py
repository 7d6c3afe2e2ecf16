"""The Python interface: the stages put together."""

from __future__ import annotations

import logging
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pytest

import tvmopt
from tvmopt import api, demo
from tvmopt.api.common import grouped
from tvmopt.errors import ArtifactError, InputError, ModelError, TargetError, UnsupportedError
from tvmopt.peers.onnxruntime import Session

from .frontend.runs import model as parse
from .report.models import Graph, residual

FEEDS = {"x": np.random.default_rng(3).uniform(-2.6, 2.5, (1, 3, 6, 6)).astype(np.float32)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "residual.onnx"
    onnx.save(residual(), path)
    return path


@pytest.fixture(scope="module")
def artifact(model: Path) -> api.Artifact:
    return tvmopt.compile(model)


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The dequantized logits are equal, the softmax in float nearly."""
    assert list(found) == list(expected)
    logits, y = expected
    np.testing.assert_array_equal(found[logits], expected[logits])
    np.testing.assert_allclose(found[y], expected[y], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "threads"), [("host", 1), ("arm/cortex-a76", 2), ("arm/cortex-m4", 1), ("cuda/sm_80", 1)]
)
def test_the_same_bytes_every_time(model: Path, target: str, threads: int, tmp_path: Path) -> None:
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        tvmopt.compile(model, target, threads=threads).save(tmp_path / name / "model")
    once, again = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("once", "again")
    )
    assert len(once) > 0
    assert once == again


def test_public_names_are_those_of_the_api() -> None:
    for name in tvmopt.__all__:
        assert getattr(tvmopt, name) is getattr(api, name)
    with pytest.raises(AttributeError, match="module 'tvmopt' has no attribute 'tune_everything'"):
        tvmopt.tune_everything  # noqa: B018


def test_compile_save_open_run(model: Path, artifact: api.Artifact, tmp_path: Path) -> None:
    expected = Session(model, integer=True).run(FEEDS)
    same(artifact.run(FEEDS), expected)
    artifact.save(tmp_path / "model.so")
    opened = tvmopt.open(tmp_path / "model.so")
    same(opened.run(FEEDS), expected)
    assert opened.manifest["target"] == tvmopt.target.host().name
    assert [(spec.name, spec.shape, spec.dtype) for spec in opened.inputs] == [("x", (1, 3, 6, 6), "float32")]


def test_a_model_may_be_a_path_bytes_a_proto_or_loaded(model: Path) -> None:
    expected = Session(model, integer=True).run(FEEDS)
    for source in (str(model), model.read_bytes(), onnx.load(model), tvmopt.load(model)):
        same(tvmopt.compile(source).run(FEEDS), expected)


def test_options_change_no_result_bit(model: Path, artifact: api.Artifact) -> None:
    expected = artifact.run(FEEDS)
    for options in ({"sparsity": False}, {"threads": 2}, {"target": "x86/generic"}):
        found = tvmopt.compile(model, **options).run(FEEDS)  # type: ignore[arg-type]
        np.testing.assert_array_equal(next(iter(found.values())), next(iter(expected.values())))


def test_inputs_and_outputs_are_floats_or_bytes() -> None:
    with pytest.raises(InputError, match="io is 'int4', none of 'onnx', 'int8', 'int8-inputs'"):
        tvmopt.compile(demo.INT8_MODEL, io="int4")  # type: ignore[arg-type]


def test_kernels_are_objects_or_c() -> None:
    with pytest.raises(InputError, match="emit is 'rust', none of 'object', 'c', 'tosa-mlir'"):
        tvmopt.compile(demo.INT8_MODEL, emit="rust")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "Net", "9net", "my-net", "net.a", "x y", "main", "parallel"])
def test_names_that_c_would_not_take(name: str) -> None:
    with pytest.raises(InputError, match=f"the name '{name}' is "):
        tvmopt.compile(demo.INT8_MODEL, "arm/cortex-m4", name=name)


def test_what_is_not_called_from_c_has_no_name_there() -> None:
    found = parse("g (float[8] x) => (float[3] y) <int64[1] k = {3}> { y, i = TopK(x, k) }")
    with pytest.raises(
        UnsupportedError, match=r"what needs TVM to run \(.*\) is not called from C, so it has no name 'a'"
    ):
        tvmopt.compile(found, name="a")
    with pytest.raises(UnsupportedError, match="code for cuda/sm_80 is not called from C, so it has no name 'a'"):
        tvmopt.compile(demo.INT8_MODEL, "cuda/sm_80", name="a")


def test_inputs_and_outputs_are_a_caller_s_or_in_the_workspace() -> None:
    with pytest.raises(InputError, match="io_memory is 'heap', neither 'caller' nor 'workspace'"):
        tvmopt.compile(demo.INT8_MODEL, io_memory="heap")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="io_memory is for microcontrollers, and x86/generic is none"):
        tvmopt.compile(demo.INT8_MODEL, "x86/generic", io_memory="workspace")


@pytest.mark.parametrize("scale", [0.05, 0.06])
def test_concatenations_of_equal_scales_are_no_work(scale: float, tmp_path: Path) -> None:
    """Their parts are computed in their place; where scales differ, numbers do, too."""
    graph = Graph()
    x = graph.quantize("x", 0.05, 3)
    weights = [np.random.default_rng(i).integers(-127, 128, (5, 8), np.int8) for i in range(2)]
    products = [graph.node("MatMul", x, graph.weight(w, 0.01)) for w in weights]
    parts = [graph.quantize(y, each, 3) for y, each in zip(products, (0.05, scale), strict=True)]
    joined = graph.quantize(graph.node("Concat", *parts, axis=0), 0.05, 3)
    w = graph.weight(np.random.default_rng(1).integers(-127, 128, (8, 3), np.int8), 0.01)
    path = tmp_path / "concat.onnx"
    onnx.save(graph.model([7, 5], [graph.quantize(graph.node("MatMul", joined, w), 0.1, 0)]), path)
    artifact, feeds = tvmopt.compile(path), {"x": np.random.default_rng(2).uniform(-6, 6, (7, 5)).astype(np.float32)}
    (y,), (expected,) = artifact.run(feeds).values(), Session(path, integer=True).run(feeds).values()
    np.testing.assert_array_equal(y, expected)
    assert ("put beside each other" in artifact.manifest["memory"]["steps"]) == (scale == 0.05)


def test_shapes_bind_symbolic_dimensions() -> None:
    graph = Graph()
    y = graph.quantize(graph.node("Relu", graph.quantize("x", 0.1, 0)), 0.1, 0)
    proto = graph.model(["N", 5], [y])
    found = tvmopt.compile(tvmopt.load(proto, {"x": (3, 5)})).run({"x": np.ones((3, 5), np.float32)})
    np.testing.assert_allclose(found[y], np.ones((3, 5)), atol=1e-6)


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({}, "node 'x': no value was given"),
        ({"y": FEEDS["x"]}, "node 'y': is not an input of this model .inputs: x"),
        ({"x": FEEDS["x"][0]}, r"node 'x': has shape \[3, 6, 6\], not \[1, 3, 6, 6\]"),
        ({"x": FEEDS["x"].astype(np.float64)}, "node 'x': has dtype float64, not float32"),
    ],
)
def test_run_refuses_what_does_not_fit(artifact: api.Artifact, feeds: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InputError, match=says):
        artifact.run(feeds)


def test_open_refuses_what_is_no_artifact(tmp_path: Path, artifact: api.Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.so"):
        tvmopt.open(tmp_path / "nowhere.so")
    (tmp_path / "text.so").write_text("hello")
    with pytest.raises(ArtifactError, match=r"text\.so"):
        tvmopt.open(tmp_path / "text.so")
    artifact.save(tmp_path / "damaged.so")
    data = bytearray((tmp_path / "damaged.so").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.so").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"damaged\.so"):
        tvmopt.open(tmp_path / "damaged.so")


def test_save_refuses_a_folder_that_is_not_there(artifact: api.Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"model\.so: cannot be written: No such file or directory"):
        artifact.save(tmp_path / "nowhere" / "model.so")


def test_errors_of_the_call(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="near: x86/generic"):
        tvmopt.compile(model, "x86/genric")
    for threads in (0, 1025):
        with pytest.raises(InputError, match=f"threads is {threads}"):
            tvmopt.compile(model, threads=threads)
    with pytest.raises(ModelError, match="cannot be read"):
        tvmopt.load(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match="gone: the model has no ONNX file"):
        tvmopt.verify(tvmopt.load(model).replace(source="gone"))


def test_verify_gives_typed_results(model: Path) -> None:
    found = tvmopt.verify(model, samples=3, layer_samples=2)
    assert (found.samples, found.layer_samples, found.exact_ops, found.max_lsb) == (3, 2, 5, 0)
    assert (found.model, found.target, found.top1_agreement) == (str(model), tvmopt.target.host().name, 1)
    assert found.data.startswith("random")


def test_a_model_from_memory_is_verified_and_timed(model: Path) -> None:
    found = tvmopt.verify(onnx.load(model), samples=2, layer_samples=1)
    assert (found.model, found.exact_ops, found.max_lsb) == ("<memory>", 5, 0)
    compared = tvmopt.bench(model.read_bytes(), vs=("onnxruntime",))
    assert compared.model == "<memory>"
    assert [(row.runtime, row.status) for row in compared.rows] == [("tvmopt", "ok"), ("onnxruntime", "ok")]


@pytest.mark.parametrize("external", [False, True])
def test_a_model_with_a_constant_for_an_input_is_verified_and_timed(tmp_path: Path, external: bool) -> None:
    proto = parse(
        """g (float[2,300] x, bool flip) => (float[2,5] y) {
            t = MatMul(x, w)
            y = If(flip) <
                then_branch = a () => (float[2,5] p) { p = Neg(t) },
                else_branch = b () => (float[2,5] q) { q = Abs(t) }
            >
        }""",
        {"w": np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)},
    )
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=external, location="w")
    for flip in (True, False):
        model = tvmopt.load(tmp_path / "m.onnx" if external else proto, constants={"flip": flip})
        (output,) = tvmopt.verify(model, samples=2).outputs
        assert output.max_abs < 1e-4
        artifact = tvmopt.compile(model)
        assert (artifact.run({"x": np.ones((2, 300), np.float32)})["y"].min() > 0) == (not flip)
        assert artifact.manifest["constants"] == ["flip"]
    assert {row.status for row in tvmopt.bench(model).rows} == {"ok"}


def test_what_other_runtimes_refuse_of_a_model_from_memory_names_no_other_file() -> None:
    text = """<ir_version: 10, opset_import: ["" : 28]> g (bfloat16[4] x) => (bfloat16[4] y) { y = Sin(x) }"""
    with pytest.raises(UnsupportedError, match=r"^<memory>: ONNX Runtime refuses the model"):
        tvmopt.verify(onnx.parser.parse_model(text))


def test_external_data_is_followed_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(residual(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert path.stat().st_size + (tmp_path / "weights.bin").stat().st_size > 2000
    assert tvmopt.verify(path, samples=1, layer_samples=1).exact_ops == 5
    assert [row.status for row in tvmopt.bench(path, vs=["onnxruntime", "tvm"]).rows] == ["ok"] * 3


def test_bench_times_a_model_beside_its_peers(model: Path) -> None:
    found = tvmopt.bench(model, vs=["onnxruntime", "litert"])
    assert [(row.runtime, row.status == "ok") for row in found.rows] == [
        ("tvmopt", True),
        ("onnxruntime", True),
        ("litert", False),
    ]
    assert found.rows[0].runs >= 30
    assert found.ratio.keys() == {"onnxruntime"}


def test_bench_times_an_artifact_as_it_was_compiled(model: Path) -> None:
    found = tvmopt.bench(tvmopt.compile(model, "x86/generic", threads=2), threads=1)
    assert (found.model, found.target, found.threads) == (str(model), "x86/generic", 2)
    assert [(row.runtime, row.status) for row in found.rows] == [
        ("tvmopt", "ok"),
        ("onnxruntime", "needs the ONNX model"),
    ]


def test_inspect_finds_sparsity_and_quantization() -> None:
    found = tvmopt.inspect(demo.INT8_MODEL)
    assert found.float_ops == 0
    assert 0.4 < found.zero_fraction < 0.6
    assert found.macs_after_folding < 0.7 * found.macs
    assert found.weight_bytes_after_folding < 0.7 * found.weight_bytes
    assert sum(op.macs for op in tvmopt.inspect(demo.INT8_MODEL, sparsity=False).ops) == found.macs
    assert {op.where for op in found.ops} == {"int8", "move"}


def test_inspect_tells_how_a_target_takes_zeros() -> None:
    formats = [op.format for op in tvmopt.inspect(demo.INT8_MODEL, "x86/cascadelake").ops]
    assert "dense: less than 25% of its weights are zero" in formats
    assert "dense: a convolution in groups" in formats
    assert not any(op.format for op in tvmopt.inspect(demo.INT8_MODEL).ops)


@pytest.mark.parametrize(
    ("name", "known"),
    [("x86/avx2", True), ("arm/cortex-m7", True), ("cuda/sm_80", False), ("edge/ethos-u55-128", False)],
)
def test_borders_are_for_cpus(name: str, known: bool) -> None:
    """What compiles for a GPU or an accelerator does not know them."""
    with mock.patch("tvmopt.passes.pipeline.run") as run:
        grouped(tvmopt.load(demo.INT8_MODEL), tvmopt.target.get(name), sparsity=True)
    assert run.call_args.kwargs["borders"] == known


def test_list_targets_has_every_file() -> None:
    assert [found.name for found in tvmopt.list_targets()] == [name for name in tvmopt.target.names() if name != "host"]


def test_stages_are_logged(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tvmopt"):
        tvmopt.compile(model)
    for stage in ("importing", "optimizing", "lowering", "generating code"):
        assert f"{stage}" in caplog.text

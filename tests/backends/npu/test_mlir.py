"""Subgraphs as MLIR text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tosa_reference_model

import tvmopt
from tvmopt import demo, frontend
from tvmopt.backends.npu import mlir
from tvmopt.backends.npu.execute import Executable
from tvmopt.backends.npu.part import Part, parts
from tvmopt.errors import UnsupportedError
from tvmopt.passes import pipeline

from .harness import FAMILIES, accelerator, partitioned


@pytest.fixture(scope="module")
def part() -> Part:
    """The demo's subgraph."""
    model = partitioned(pipeline.run(frontend.load(demo.INT8_MODEL), requantize="fixed"))
    (found,) = parts(model, accelerator(FAMILIES[-1])).values()
    return found


def test_what_is_read_back_computes_the_same(part: Part, tmp_path: Path) -> None:
    """Text -> file, by tosa-opt; both files by the reference model."""
    source, again = tmp_path / "part.mlir", tmp_path / "again.tosa"
    source.write_text(mlir.text(part.graph.serialize()))
    mlir.opt(str(source), "--tosa-serialize", f"--tosa-flatbuffer-filename={again}", "-o", str(tmp_path / "ignored"))
    rng, run = np.random.default_rng(0), Executable(part.graph)
    for _ in range(4):
        x = rng.integers(-128, 127, part.graph.inputs[0].shape, np.int8, endpoint=True)
        (expected,) = run([x])
        (got,), status = tosa_reference_model.run(again.read_bytes(), [x])
        assert status == tosa_reference_model.GraphStatus.TOSA_VALID
        np.testing.assert_array_equal(got, expected)


def test_every_operator_is_in_the_text(part: Part) -> None:
    text = mlir.text(part.graph.serialize())
    for node in part.graph.nodes:
        assert f"tosa.{node.op.lower()} " in text
    assert 'tosa.tensor_name = "input0"' in text


def test_what_tosa_opt_says_is_told() -> None:
    with pytest.raises(RuntimeError, match="tosa-opt: "):
        mlir.text(b"no TOSA file")


def test_targets_without_an_ethos_u() -> None:
    for target in ("x86/generic", "arm/cortex-m55", "edge/systolic-64x64"):
        with pytest.raises(UnsupportedError, match=f"target {target} has no Ethos-U"):
            tvmopt.compile(demo.INT8_MODEL, target, emit="tosa-mlir")

"""What a comparison reports of measured times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import compare, models
from tvmopt.report.bench import Comparison, Row


def comparison(model: str, times: dict[str, float | str]) -> Comparison:
    rows = [
        Row(name, None, None, 0, time) if isinstance(time, str) else Row(name, time, time, 30, "ok")
        for name, time in times.items()
    ]
    own = times["tvmopt"]
    ratio = {name: time / own for name, time in times.items() if name != "tvmopt" and not isinstance(time, str)}
    return Comparison(model, "host", 1, rows, ratio, "a machine", {"tvmopt": "0.1.0", "onnxruntime": "1.31"})


@pytest.fixture
def measured() -> compare.Run:
    comparisons = [
        comparison("kws", {"tvmopt": 10.0, "onnxruntime": 20.0, "openvino": "refused: zero points"}),
        comparison("ic", {"tvmopt": 10.0, "onnxruntime": 8000.0, "openvino": 5.0}),
    ]
    return compare.Run(1, comparisons, compare.means(comparisons))


def test_a_model_that_a_peer_refuses_counts_in_no_mean(measured: compare.Run) -> None:
    assert measured.geometric_mean == pytest.approx({"onnxruntime": 40.0, "openvino": 0.5})


def test_refusals_ratios_and_means_are_shown(measured: compare.Run) -> None:
    header, rows = compare.table(measured)
    assert header == ["model", "tvmopt", "onnxruntime", "openvino"]
    assert rows == [
        ["kws", "10.0 us", "20.0 us (2.00x)", "-"],
        ["ic", "10.0 us", "8.00 ms (800.00x)", "5.0 us (0.50x)"],
        ["geometric mean", "", "(40.00x)", "(0.50x)"],
    ]
    assert compare.notes(measured) == ["openvino: refused: zero points: kws"]


def test_the_report_names_machine_threads_and_versions(measured: compare.Run) -> None:
    text = compare.markdown(compare.Report([measured]))
    assert "## Threads: 1\n\na machine, target host, threads: 1; tvmopt 0.1.0, onnxruntime 1.31\n" in text
    assert "| ic | 10.0 us | 8.00 ms (800.00x) | 5.0 us (0.50x) |" in text
    assert text.endswith("\n- openvino: refused: zero points: kws\n\n![times faster](benchmarks_1.svg)\n")


def test_an_architecture_stands_for_its_quantized_variants() -> None:
    expanded = compare.expand(["kws", "resnet50", "bert_tiny-dynamic"])
    assert expanded == ["kws", *(f"resnet50-{v}" for v in models.VARIANTS["resnet50"]), "bert_tiny-dynamic"]
    assert set(expanded) <= set(models.names())


def test_kws_beside_onnxruntime(shared: Path) -> None:
    result = CliRunner().invoke(compare.main, ["--models", "kws", "--vs", "onnxruntime", "--json"])
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.stdout)["runs"]
    (row,) = run["models"]
    assert [(each["runtime"], each["status"], each["runs"] >= 30) for each in row["rows"]] == [
        ("tvmopt", "ok", True),
        ("onnxruntime", "ok", True),
    ]
    assert run["geometric_mean"] == pytest.approx(row["ratio"])


def test_unknown_models_are_one_line_and_exit_code_2() -> None:
    result = CliRunner().invoke(compare.main, ["--models", "alexnet"])
    assert result.exit_code == 2
    assert "unknown benchmark model 'alexnet'" in result.output

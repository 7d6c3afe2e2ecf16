"""What a comparison reports of measured times."""

from __future__ import annotations

import pytest

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
def measured() -> list[Comparison]:
    return [
        comparison("kws", {"tvmopt": 10.0, "onnxruntime": 20.0, "openvino": "refused: zero points"}),
        comparison("ic", {"tvmopt": 10.0, "onnxruntime": 80.0, "openvino": 5.0}),
    ]


def test_a_model_that_a_peer_refuses_counts_in_no_mean(measured: list[Comparison]) -> None:
    assert compare.means(measured) == pytest.approx({"onnxruntime": 4.0, "openvino": 0.5})


def test_refusals_and_means_are_shown(measured: list[Comparison]) -> None:
    header, kws, ic, mean = compare.rows(["kws", "ic"], measured)
    assert header == ["model", "tvmopt, us", "onnxruntime, us", "openvino, us", "x onnxruntime", "x openvino"]
    assert kws == ["kws", "10.0", "20.0", "refused: zero points", "2.00", "-"]
    assert ic == ["ic", "10.0", "80.0", "5.0", "8.00", "0.50"]
    assert mean[-2:] == ["4.00", "0.50"]


def test_the_report_names_machine_threads_and_versions(measured: list[Comparison]) -> None:
    text = compare.markdown(["kws", "ic"], [measured])
    assert "## 1 thread(s)\n\na machine; target host; threads 1; tvmopt 0.1.0, onnxruntime 1.31\n" in text
    assert "| ic | 10.0 | 80.0 | 5.0 | 8.00 | 0.50 |" in text


def test_an_architecture_stands_for_its_quantized_variants() -> None:
    expanded = compare.expand(["kws", "resnet50", "bert_tiny-dynamic"])
    assert expanded == ["kws", *(f"resnet50-{v}" for v in models.VARIANTS["resnet50"]), "bert_tiny-dynamic"]
    assert set(expanded) <= set(models.names())

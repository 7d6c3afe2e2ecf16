"""Fixtures and options every test may use."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forbid-skips", action="store_true", help="fail what would be skipped, unless it is marked 'hardware'"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("hardware") is None:
        _forbid(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _forbid(report, collector.config)
    return report


def _forbid(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    if config.getoption("--forbid-skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason} (skips are forbidden by --forbid-skips)"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the MLPerf Tiny models (models/) and labelled images (data/): third-party, not in this project."""
    path = Path(os.environ.get("TVMOPT_SHARED", ROOT.parent / "shared"))
    if not (path / "models" / "mlperf-tiny").is_dir():
        pytest.skip("needs the MLPerf Tiny models: set TVMOPT_SHARED to the folder that holds models/ and data/")
    return path


@pytest.fixture
def mlperf_tiny(shared: Path) -> dict[str, Path]:
    """The four int8 MLPerf Tiny models by short name."""
    folder = shared / "models" / "mlperf-tiny"
    names = {"kws": "kws_dscnn", "ic": "ic_resnet8", "vww": "vww_mobilenetv1", "ad": "ad_autoencoder"}
    return {short: folder / f"{name}_int8_qdq.onnx" for short, name in names.items()}

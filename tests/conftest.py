"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the official MLPerf Tiny models (models/) and labelled images (data/), third-party, not in this project."""
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

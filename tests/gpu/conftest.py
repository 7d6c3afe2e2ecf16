"""Tests that run on a GPU, where there is one."""

from __future__ import annotations

import pytest

from tvmopt import driver, target
from tvmopt.errors import DeviceError


@pytest.fixture(scope="session")
def gpu() -> target.Target:
    """The target that this machine's GPU is."""
    try:
        driver.find()
    except DeviceError as reason:
        pytest.skip(f"needs an NVIDIA GPU: {reason}")
    return target.get("cuda/host")

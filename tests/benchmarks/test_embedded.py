"""The benchmark of microcontrollers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import embedded
from tests import tools
from tvmopt.errors import UnsupportedError


def test_counts_are_the_same_every_time(shared: Path) -> None:
    tools.need(*tools.BARE_METAL)
    first, second = (embedded.measure("ad", "arm/cortex-m4") for _ in range(2))
    assert first == second
    assert first.workspace_bytes <= 2048
    assert 0.264 < first.minstructions < 26.4, "between one and a hundred instructions for each multiplication"


def test_compressed_weights_of_a_pruned_model(shared: Path) -> None:
    tools.need(*tools.BARE_METAL)
    """Kernels that skip zeros store fewer weights already, and are faster than any that unpack them."""
    sparse, compressed = (embedded.measure("ad", "arm/cortex-m4", "unstructured:0.8", way) for way in (False, True))
    assert compressed.weights_bytes < 0.6 * sparse.weights_bytes
    assert sparse.minstructions < 0.5 * compressed.minstructions


def test_targets_that_count_nothing_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="no emulator that counts instructions"):
        embedded.measure("ad", "arm/cortex-a76")

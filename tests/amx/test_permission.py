"""Artifacts ask the CPU for AMX, then Linux for the tile registers, before any instruction needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tvmopt
from tvmopt import demo
from tvmopt.errors import ArtifactError
from tvmopt.target import Target

from .conftest import Emulator


@pytest.mark.hardware("x86-64 without AMX")
def test_a_cpu_without_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    before = emulator.executed()
    tvmopt.compile(demo.INT8_MODEL, "x86/sapphirerapids").save(tmp_path / "model.so")
    with pytest.raises(ArtifactError, match=r"model\.so: this CPU cannot run code for x86/sapphirerapids"):
        tvmopt.open(tmp_path / "model.so")
    assert emulator.executed() == before


@pytest.mark.hardware("AVX512-VNNI")
@pytest.mark.usefixtures("unchecked")
def test_linux_is_asked_once(library: Path, target: Target, tmp_path: Path) -> None:
    """Without permission the emulator ends the process; workers that start later have it, too."""
    tvmopt.compile(demo.INT8_MODEL, target, threads=2).save(tmp_path / "model.so")
    with np.load(demo.HELD_OUT) as held_out:
        images = held_out["input"][:8]
    np.save(tmp_path / "images.npy", images)
    host = tvmopt.compile(demo.INT8_MODEL, "host")
    expected = [next(iter(host.run({"input": image[None]}).values())) for image in images]
    script = f"""
import ctypes
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import tvmopt
emulator = ctypes.CDLL({str(library)!r})
assert emulator.amx_requests() == 0
model = tvmopt.open({str(tmp_path / "model.so")!r})
assert emulator.amx_requests() == 1
images = np.load({str(tmp_path / "images.npy")!r})
with ThreadPoolExecutor(3) as pool:
    outputs = list(pool.map(lambda image: next(iter(model.run({{"input": image[None]}}).values())), images))
assert emulator.amx_requests() == 1
assert emulator.amx_executed(6) > 0
np.save({str(tmp_path / "outputs.npy")!r}, outputs)
"""
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), expected)

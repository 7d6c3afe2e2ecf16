"""Artifacts for GPUs on one in software: TVM's CUDA runtime, graphs and all, over a driver that interprets kernels."""

from __future__ import annotations

import ast
import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import tools

from . import cuda_on_cpu

KERNEL = """
extern "C" __global__ void __launch_bounds__(64) turned(float* __restrict__ y, float* __restrict__ x) {
  __shared__ alignas(64) float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "tests",
    [
        ["tests/gpu/test_artifact.py"],
        ["tests/gpu/test_kernels.py", "--cuda-source", "-k", "activations or depthwise or two_of_four or few_bits"],
    ],
    ids=["artifacts", "kernels as CUDA C++"],
)
def test_what_needs_a_gpu(tests: list[str]) -> None:
    """None of it is skipped, and graphs are captured once and replayed."""
    tools.need("gcc", "g++")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.runtime.software_gpu"]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    found = re.search(r"software GPU: (\{.*\})", done.stdout)
    assert found is not None
    counts = ast.literal_eval(found[1])
    assert counts["launches"] > 0
    assert tests[0] != "tests/gpu/test_artifact.py" or counts["replays"] > counts["captures"] > 0


@pytest.mark.parametrize("barrier", [True, False])
def test_threads_of_cuda_source_wait_at_barriers(tmp_path: Path, barrier: bool) -> None:
    """And only there: without one, the first half of them reads what the others have not written."""
    tools.need("g++")
    text = KERNEL if barrier else KERNEL.replace("__syncthreads();", "")
    launch = cuda_on_cpu.compile(f"#define ushort unsigned short\n#endif\n{text}", tmp_path, "kernels")["turned"]
    x, y = np.arange(1, 65, dtype=np.float32), np.zeros(64, np.float32)
    parameters = (ctypes.c_void_p * 2)(y.ctypes.data, x.ctypes.data)
    launch((ctypes.c_int * 3)(1, 1, 1), (ctypes.c_int * 3)(64, 1, 1), parameters)
    expected = x[::-1] if barrier else np.where(np.arange(64) < 32, 0, x[::-1])
    np.testing.assert_array_equal(y, expected)

"""Artifacts for GPUs: what is in them, and what refuses to run them. Nothing here needs a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmopt import api, demo, driver, runtime
from tvmopt.backends.cuda import compiler
from tvmopt.driver import Driver
from tvmopt.errors import ArtifactError, DependencyError, DeviceError, TvmoptError
from tvmopt.runtime import cuda, vm

DEMO = demo.INT8_MODEL
KERNEL = """
extern "C" __global__ void twice(float *y, const float *x) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = 2 * s[63 - threadIdx.x];
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cuda") / "model.so"
    api.compile(DEMO, "cuda/sm_80").save(path)
    return path


def test_a_file_holds_machine_code_and_ptx_and_no_source(path):
    manifest = vm.read_manifest(path)
    assert (manifest["backend"], manifest["cuda"]["arch"]) == ("cuda", "sm_80")
    images = {(major, cuda.image(path, manifest, Driver((99, 0), 10 * major, 108, 227 * 1024))) for major in (8, 9)}
    assert {image[:4] for major, image in images if major == 8} == {b"\x7fELF"}
    (ptx,) = (image for major, image in images if major == 9)
    assert b".target sm_80" in ptx
    assert all(name.encode() in ptx for name in manifest["cuda"]["kernels"])
    assert b"__global__" not in path.read_bytes()


def test_kernels_stay_within_their_limits(path):
    kernels = vm.read_manifest(path)["cuda"]["kernels"]
    assert kernels
    for name, usage in kernels.items():
        assert usage["spilled"] == 0, name
        assert usage["registers"] <= 255, name
        assert usage["shared"] <= 163 * 1024, name
    assert max(usage["shared"] for usage in kernels.values()) > 0


def test_a_gpu_of_too_little_shared_memory(path):
    manifest = vm.read_manifest(path)
    with pytest.raises(ArtifactError, match=r"with \d+ bytes of shared .* sm_89, has 1024 \(compile it for cuda/host"):
        cuda.image(path, manifest, Driver((13, 0), 89, 108, 1024))


@pytest.mark.parametrize(
    ("found", "error", "says"),
    [
        (Driver((13, 0), 75, 108, 227 * 1024), ArtifactError, r"compiled for sm_80, this GPU is the older sm_75"),
        (
            Driver((12, 8), 80, 108, 227 * 1024),
            DeviceError,
            r"supports CUDA 12\.8, older than the \d+\.0 this needs \(update the driver",
        ),
        (Driver((13, 0), 90, 108, 227 * 1024), DeviceError, r"supports CUDA 13\.0, older than the \d+\.\d+ this needs"),
    ],
)
def test_a_gpu_or_driver_that_is_too_old(path, monkeypatch, found, error, says):
    monkeypatch.setattr(driver, "find", lambda: found)
    with pytest.raises(error, match=says):
        runtime.open(path)


def test_a_later_gpu_of_the_same_generation_runs_the_machine_code(path):
    manifest = vm.read_manifest(path)
    assert cuda.image(path, manifest, Driver((13, 0), 89, 108, 227 * 1024)) == cuda.image(
        path, manifest, Driver((13, 0), 80, 108, 227 * 1024)
    )


def test_full_memory():
    with pytest.raises(DeviceError, match="too little free memory"), cuda._memory("model.so"):
        raise RuntimeError("CUDA: out of memory")
    with pytest.raises(RuntimeError, match="else"), cuda._memory("model.so"):
        raise RuntimeError("something else")


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
def test_nvrtc_compiles_for_every_architecture(arch):
    code = compiler.compile(KERNEL, arch)
    assert code.cubin[:4] == b"\x7fELF"
    assert f".target {arch}".encode() in code.ptx
    assert code.usage["twice"].shared == 256
    assert 0 < code.usage["twice"].registers < 64


def test_the_compiler_says_what_it_refuses():
    with pytest.raises(TvmoptError, match=r"for sm_80: .*undefined"):
        compiler.compile(KERNEL.replace("63 -", "none -"), "sm_80")
    with pytest.raises(TvmoptError, match=r"for sm_10: .*gpu-architecture"):
        compiler.compile(KERNEL, "sm_10")


def test_of_many_errors_the_first_is_told():
    many = KERNEL.replace("63 -", "none - nothing -")
    with pytest.raises(TvmoptError) as raised:
        compiler.compile(many, "sm_80")
    assert '"none" is undefined' in str(raised.value)
    assert "nothing" not in str(raised.value)


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    with pytest.raises(DependencyError, match=r"needs NVRTC or nvcc \(pip install 'tvmopt\[cuda\]'\)"):
        compiler.compile(KERNEL, "sm_80")


def test_headers_of_an_installed_toolkit(monkeypatch, tmp_path):
    """Where NVRTC came as a wheel, but its headers did not."""
    monkeypatch.setattr(compiler, "_wheels", lambda pattern: [])
    monkeypatch.setattr(compiler.shutil, "which", lambda name: str(tmp_path / "bin" / name))
    assert compiler._includes() == [f"-I{tmp_path}/include", f"-I{tmp_path}/include/cccl"]


def test_what_ptxas_says():
    log = """
ptxas info    : Compiling entry function 'a' for 'sm_80'
ptxas info    : Function properties for a
    0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compiling entry function 'b' for 'sm_80'
ptxas info    : Used 10 registers
"""
    assert compiler.usage(log) == {"a": compiler.Usage(40, 8, 1024), "b": compiler.Usage(10, 0, 0)}

"""Rules give the code they are for: their instruction in the inner loop, and no sum that goes through memory."""

import re

import numpy as np
import pytest
import tvm
from tvmopt.schedules import _forms_neon, _forms_x86, _interleave

from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, Region, Table


def convolution(channels: int, kernel: int) -> Conv:
    """[1, channels, 20, 20] -> [1, channels, 20, 20]."""
    weight = np.random.default_rng(0).integers(-128, 128, (channels, channels, kernel, kernel), np.int8)
    x = w = QParams.per_tensor(0.1, 0, "int8")
    padding, bias = (kernel // 2,) * 4, np.zeros(channels, np.int32)
    return Conv(x, w, weight, bias, x, (-128, 127), (1, 1), padding, (1, 1))


def assembly(name: str, region: Region, channels: int = 64) -> str:
    """The code of a region [1, channels, 20, 20] -> [1, channels, 20, 20] for target ``name``."""
    target, shape = targets.get(name), (1, channels, 20, 20)
    kernel = lower(region, wants(region, (Stored(shape, "int8"),), target), shape, target)
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    return tvm.tirx.build(schedule(mod, target), target=target.tvm()).inspect_source("asm")


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    ("name", "instruction", "register"),
    [
        ("x86/cascadelake", "vpdpbusd", "zmm"),
        ("x86/skylake-avx512", "vpmaddwd", "zmm"),
        ("x86/avx2", "vpmaddwd", "ymm"),
        ("x86/generic", "pmaddwd", "xmm"),
    ],
)
def test_multiply_add(name, instruction, register, kernel):
    code = assembly(name, convolution(64, kernel))
    assert "vpmaddubsw" not in code  # its 16-bit sums saturate
    assert not re.search(r"\bcall\w*\s.*(nearbyint|rint|round)", code)
    bodies = [re.split(r"^\s+j", part, flags=re.M)[0] for part in re.split(r"^\.LBB\w+:", code, flags=re.M)]
    loops = [body for body in bodies if len(re.findall(rf"\b{instruction}\b.*{register}", body)) >= 8]
    assert loops
    assert not any(re.search(r"rsp.*[xyz]mm|[xyz]mm.*rsp", body) for body in loops)  # sums stay in registers


@pytest.mark.parametrize("channels", [32, 48, 64, 96])
def test_bytes_of_several_vectors_are_stored_together(channels):
    code = assembly("x86/cascadelake", convolution(channels, 1), channels)
    assert re.search(r"\bvpackuswb\b.*zmm", code)
    assert "vpmovdb" not in code
    assert "vpmovusdb" not in code


@pytest.mark.parametrize("name", ["x86/cascadelake", "x86/skylake-avx512"])
def test_tables_are_in_registers(name):
    p = QParams.per_tensor(0.1, 0, "int8")
    table = np.random.default_rng(0).permutation(256).astype(np.uint8).view(np.int8)
    assert re.search(r"\bvperm[it]2w\b.*zmm", assembly(name, Table(p, p, table)))


@pytest.mark.parametrize("channels", [8, 32, 64, 144])
def test_depthwise_columns_are_unpacked(channels):
    weight = np.random.default_rng(0).integers(-128, 128, (channels, 1, 3, 3), np.int8)
    p = QParams.per_tensor(0.1, 0, "int8")
    bias = np.zeros(channels, np.int32)
    region = Conv(p, p, weight, bias, p, (-128, 127), (1, 1), (1,) * 4, (1, 1), channels)
    code = assembly("x86/cascadelake", region, channels)
    assert re.search(r"\bvpunpckhwd\b.*zmm", code)
    assert re.search(r"\bvpackuswb\b.*zmm", code)
    assert not re.search(r"\bvpmovzx\w+\b.*zmm|\bcall\w*\s.*mem(cpy|set)", code)


def test_forms_of_sparse_kernels_have_instructions_of_their_own():
    """Some are alike in size: one process may compile for all."""
    forms = [_forms_x86.of(8, 2), _forms_x86.of(4, 2), _forms_neon.Dot(), _forms_neon.Long()]
    assert len({_interleave.rows(form, "int8", 4) for form in forms}) == len(forms)

"""Rules give the code they are for: their instruction in the inner loop, and no sum that goes through memory."""

import re

import numpy as np
import pytest
import tvm

from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv


def assembly(name: str, channels: int, kernel: int, groups: int = 1) -> str:
    """The code of a convolution [1, channels, 20, 20] -> [1, channels, 20, 20] for target ``name``."""
    target = targets.get(name)
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (channels, channels // groups, kernel, kernel), np.int8)
    x = w = QParams.per_tensor(0.1, 0, "int8")
    strides, padding = (1, 1), (kernel // 2,) * 4
    bias = np.zeros(channels, np.int32)
    region = Conv(x, w, weight, bias, x, (-128, 127), strides, padding, (1, 1), groups)
    shape = (1, channels, 20, 20)
    kernel_ = lower(region, wants(region, (Stored(shape, "int8"),), target), shape, target)
    mod = tvm.IRModule({"main": kernel_.func.with_attr("global_symbol", "main")})
    return tvm.tirx.build(schedule(mod, target, threads=1), target=target.tvm()).inspect_source("asm")


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
    code = assembly(name, 64, kernel)
    assert "vpmaddubsw" not in code  # its 16-bit sums saturate
    assert not re.search(r"\bcall\w*\s.*(nearbyint|rint|round)", code)
    bodies = [re.split(r"^\s+j", part, flags=re.M)[0] for part in re.split(r"^\.LBB\w+:", code, flags=re.M)]
    loops = [body for body in bodies if len(re.findall(rf"\b{instruction}\b.*{register}", body)) >= 8]
    assert loops
    assert not any(re.search(r"rsp.*[xyz]mm|[xyz]mm.*rsp", body) for body in loops)  # sums stay in registers


@pytest.mark.parametrize("channels", [32, 48, 64, 96])
def test_bytes_of_several_vectors_are_stored_together(channels):
    code = assembly("x86/cascadelake", channels, 1)
    assert re.search(r"\bvpackuswb\b.*zmm", code)
    assert "vpmovdb" not in code
    assert "vpmovusdb" not in code

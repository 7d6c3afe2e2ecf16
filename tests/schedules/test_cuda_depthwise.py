"""Depthwise convolutions on GPUs: exact, thread by thread; and what a thread keeps in registers."""

from __future__ import annotations

import re

import pytest

from tvmopt import target as targets
from tvmopt.backends.cuda import compiler
from tvmopt.lowering.schedule import apply

from .convolutions import conv
from .cuda import Case, cuts, source

TARGET = targets.get("cuda/sm_80")
CASES = {
    "3x3": conv(64, 64, 3, 8, groups=64),
    "5x5": conv(32, 32, 5, 7, groups=32),
    "strided": conv(40, 40, 3, 16, stride=2, groups=40),
    "dilated": conv(32, 32, 3, 9, dilation=2, groups=32),
    "several outputs for an input": conv(32, 64, 3, 6, groups=32),
}


@pytest.mark.parametrize("name", CASES)
def test_exact(name):
    case = Case(*CASES[name], TARGET)
    case.check(apply("cuda_depthwise", case.kernel.func, TARGET))


def test_any_decisions():
    case = Case(*conv(32, 32, 3, 12, groups=32), TARGET)
    found = cuts(case, "cuda_depthwise")
    assert len(found) == 5 * 3 // 3
    for func in found:
        case.check(func)


@pytest.mark.parametrize(("channels", "size"), [(40, 1), (33, 8), (4, 3)])
def test_others_are_left_to_another_rule(channels, size):
    case = Case(*conv(channels, channels, 3, size, groups=channels), TARGET)
    assert apply("cuda_depthwise", case.kernel.func, TARGET) is None
    case.check()


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100"])
def test_what_windows_share_is_read_once(arch):
    """Of 4 pixels, 18 columns of 4 channels instead of 36, and weights once: 4 bytes each."""
    target = targets.get(f"cuda/{arch}")
    func = apply("cuda_depthwise", Case(*conv(64, 64, 3, 8, groups=64), target).kernel.func, target)
    text = source({"kernel": func}, target)
    assert {int(size) for size in re.findall(r"int acc_local_ptr\[(\d+)\]", text)} == {16}
    code = compiler.compile(text, arch)
    assert [usage.spilled for usage in code.usage.values()] == [0]
    assert len(re.findall(rb"ld\.global\.nc\.\w+\s+%r\d+, \[", code.ptx)) >= 27
    assert len(re.findall(rb"ld\.global\.nc\.[us]8", code.ptx)) == 0

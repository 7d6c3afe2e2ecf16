"""Which CPU features an artifact asks for before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmopt import target as targets
from tvmopt.backends import cpu, library
from tvmopt.errors import ArtifactError
from tvmopt.runtime.library import Library

from .harness import make_model, negate


@pytest.mark.parametrize(
    ("name", "asked", "not_asked"),
    [
        ("x86/generic", ["return TVMOPT_OK;"], ["cpuid"]),
        ("x86/avx2", ["cpuid(7, 0, 0x0, 0x128,", "saved(0x6)"], ["SYS_arch_prctl"]),
        ("x86/cascadelake", ["cpuid(7, 0, 0x0, 0xd0030128, 0x800, 0x0)", "saved(0xe6)"], ["SYS_arch_prctl"]),
        ("x86/sapphirerapids", ["cpuid(7, 1, 0x30,", "saved(0x600e6)", "SYS_arch_prctl"], []),
        ("arm/cortex-a72", ["return TVMOPT_OK;"], ["HWCAP"]),  # no crypto: the Raspberry Pi 4 has none
        ("arm/cortex-a76", ["HWCAP_ASIMDDP"], ["HWCAP2_I8MM"]),
        ("arm/neoverse-v1", ["HWCAP_ASIMDDP", "HWCAP2_I8MM", "HWCAP_SVE"], ["HWCAP2_SVE2"]),
        ("arm/cortex-a7", ["HWCAP_NEON", "HWCAP_VFPv4"], []),
        ("arm/cortex-m4", ["return TVMOPT_OK;"], ["getauxval"]),
        ("riscv/rv64gc", ["return TVMOPT_OK;"], ["getauxval"]),
        ("riscv/rv64gcv", ["'V' - 'A'"], []),
    ],
)
def test_asks_for_what_code_may_use(name: str, asked: list[str], not_asked: list[str]) -> None:
    _, code = cpu.check(targets.get(name), "model")
    assert all(feature in code for feature in asked)
    assert not any(feature in code for feature in not_asked)


@pytest.mark.hardware("x86-64 with AVX2")
@pytest.mark.skipif(not targets.cpu_flags() >= {"avx2"}, reason="needs x86-64 with AVX2")
def test_features_that_this_cpu_has_are_found(tmp_path: Path) -> None:
    load("x86/avx2", tmp_path)


@pytest.mark.parametrize("name", ["x86/sapphirerapids", "x86/cascadelake"])
def test_loads_exactly_where_the_cpu_fits(name: str, tmp_path: Path) -> None:
    """Refused by its own check on a CPU that lacks what Linux does not report."""
    wanted = targets.get(name).host
    assert wanted is not None
    if targets.cpu_flags().issuperset(wanted.flags):
        load(name, tmp_path)
    else:
        with pytest.raises(ArtifactError, match=f"this CPU cannot run code for {name}"):
            load(name, tmp_path)


def load(name: str, folder: Path) -> Library:
    model = make_model(lambda emit, x: emit(negate, x), x=((8,), "int8"))
    (folder / "model.so").write_bytes(library.build(model, targets.get(name), {"target": name}))
    return Library(folder / "model.so")

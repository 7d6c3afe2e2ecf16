"""Target files: what is read, what is refused, and which one this machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmopt import target
from tvmopt.errors import TargetError

GOOD = """
name = "my/board"
summary = "a board"
backend = "library"
tested = "not at all"
schedules = ["generic"]

[llvm]
kind = "llvm"
mtriple = "aarch64-linux-gnu"
mcpu = "cortex-a76"
mattr = ["+dotprod"]
"""

AVX2 = {"fma", "avx2"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq"}


def write(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text)
    return path


def test_a_users_file_is_a_target(tmp_path: Path) -> None:
    found = target.get(write(tmp_path, GOOD))
    assert (found.name, found.requantize, found.features) == ("my/board", "float", {"dotprod"})
    assert target.get(found) is found
    assert found.tvm().attrs["mcpu"] == "cortex-a76"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("summary =", "sumary =", "unknown field `sumary` (near: summary"),
        ('mcpu = "cortex-a76"', 'mcpus = "cortex-a76"', "unknown field `mcpus` - at `$.llvm` (near: mcpu"),
        ('summary = "a board"', "summary = 3", "Expected `str`, got `int` - at `$.summary`"),
        ('schedules = ["generic"]', 'schedules = "generic"', "Expected `array`, got `str` - at `$.schedules`"),
        ('backend = "library"', 'backend = "librari"', "Invalid enum value 'librari' - at `$.backend` (near: library"),
        ('kind = "llvm"', 'kind = "cuda"', "Invalid enum value 'cuda' - at `$.llvm.kind` (near: llvm)"),
        ("aarch64-linux-gnu", "sparc-linux-gnu", "at `$.llvm.mtriple`"),
        ("aarch64-linux-gnu", "aarch64_be-linux-gnu", "at `$.llvm.mtriple`"),
        ("aarch64-linux-gnu", "armv7eb-linux-gnueabihf", "at `$.llvm.mtriple`"),
        ("aarch64-linux-gnu", "x86_64-apple-darwin", "no libraries for 'x86_64-apple-darwin' - at `$.llvm.mtriple`"),
        ("aarch64-linux-gnu", "riscv32-linux-gnu", "no libraries for 'riscv32-linux-gnu' - at `$.llvm.mtriple`"),
        ('"+dotprod"', '"dotprod"', "at `$.llvm.mattr[0]`"),
        ('name = "my/board"', "", "missing required field `name`"),
        ("[llvm]", "[llvm", "line 8"),
        ('schedules = ["generic"]', 'schedules = ["genric"]', "no schedule rule 'genric' (near: generic"),
        ('schedules = ["generic"]', 'schedules = ["_loops"]', "no schedule rule '_loops'"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(TargetError) as caught:
        target.get(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


EDGE = """
name = "my/npu"
summary = "an accelerator"
tested = "not at all"
requantize = "fixed"

[accelerator]
kind = "ethos-u"
config = "ethos-u55-128"
host = "arm/cortex-m55"
system_config = "Ethos_U55_High_End_Embedded"
memory_mode = "Shared_Sram"
"""


def test_an_accelerator_is_compiled_for_its_host(tmp_path: Path) -> None:
    found, cpu = target.get(write(tmp_path, EDGE)), target.get("arm/cortex-m55")
    assert found.accelerator is not None and found.accelerator.family == "ethos-u55"
    assert (found.requantize, found.emulator) == ("fixed", None)
    for key in ("backend", "schedules", "llvm", "activation"):
        assert getattr(found, key) == getattr(cpu, key)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ethos-u55-128", "ethos-u55-129", "`$.accelerator.config` (near: ethos-u55-128, ethos-u55-"),
        ('kind = "ethos-u"', 'kind = "ethos-v"', "Invalid value 'ethos-v' - at `$.accelerator.kind` (near: ethos-u)"),
        ("arm/cortex-m55", "arm/cortex-m56", "its host: unknown target 'arm/cortex-m56' (near: arm/cortex-m"),
        ("arm/cortex-m55", "edge/ethos-u55-32", "its host edge/ethos-u55-32 has an accelerator itself"),
        ('host = "arm/cortex-m55"', "", "missing required field"),
        ("memory_mode", "memory_mod", "unknown field `memory_mod` - at `$.accelerator` (near: memory_mode"),
    ],
)
def test_a_wrong_accelerator_is_refused_by_name_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write(tmp_path, EDGE.replace(old, new))
    with pytest.raises(TargetError) as caught:
        target.get(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


POWER = '[energy]\nkind = "active-power"\nclock_mhz = 1\nactive_mw = 1.0\ncycles_per_instruction = 1.0\nsource = ""\n'
EVENTS = '[energy]\nkind = "events"\n' + "".join(
    f"pj_per_{event} = 1.0\n" for event in ("mac", "accumulator_byte", "chip_byte", "dram_byte")
)


@pytest.mark.parametrize(
    ("file", "energy", "says"),
    [
        (GOOD, POWER, "energy by active power is a microcontroller's"),
        (GOOD, EVENTS + 'source = ""\n', 'energy by events is a systolic array\'s (kind = "active-power")'),
        (EDGE, POWER, "energy by active power is a microcontroller's"),
        (GOOD, EVENTS, "missing required field `source` - at `$.energy`"),
        (GOOD, POWER.replace("active_mw = 1.0", "active_mw = 0.0"), "`$.energy.active_mw`"),
        (
            GOOD,
            POWER.replace("active-power", "power"),
            "Invalid value 'power' - at `$.energy.kind` (near: active-power",
        ),
        (GOOD, POWER.replace("active_mw", "activ_mw"), "unknown field `activ_mw` - at `$.energy` (near: active_mw"),
    ],
)
def test_wrong_energy_figures(tmp_path: Path, file: str, energy: str, says: str) -> None:
    with pytest.raises(TargetError) as error:
        target.get(write(tmp_path, f"{file}{energy}"))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        ('regions = [{ name = "DTCM", kib = 1 }]', "at `$.memory.regions[0].name`"),
        ('regions = [{ name = "dtcm" }]', "missing required field `kib` - at `$.memory.regions[0]`"),
        ('regions = [{ name = "a", kib = 1 }, { name = "a", kib = 2 }]', "there are two memory regions 'a'"),
        ('[emulator]\ncommand = ["qemu"]\nregions = { sram = 0 }', "address for 'sram', which is no memory region"),
    ],
)
def test_wrong_memory_regions(tmp_path: Path, memory: str, says: str) -> None:
    board = GOOD.replace('backend = "library"', 'backend = "static_c"')
    with pytest.raises(TargetError) as error:
        target.get(write(tmp_path, f"{board}[memory]\n{memory}\n"))
    assert says in str(error.value)


def test_memory_regions_are_a_microcontroller_s(tmp_path: Path) -> None:
    regions = 'regions = [{ name = "dtcm", kib = 128 }, { name = "sram", kib = 512 }]'
    board = f"{GOOD}[memory]\n{regions}\n"
    with pytest.raises(TargetError, match="only the workspace of a microcontroller is split"):
        target.get(write(tmp_path, board))
    found = target.get(write(tmp_path, board.replace('backend = "library"', 'backend = "static_c"')))
    assert [(region.name, region.kib) for region in found.memory.for_workspace] == [("dtcm", 128), ("sram", 512)]
    assert [region.kib for region in target.get("arm/cortex-m4").memory.for_workspace] == [640]


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="decode"):
        target.get(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"nowhere\.toml: cannot be read: No such file"):
        target.get(tmp_path / "nowhere.toml")


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(TargetError, match=r"unknown target 'x86/cascadlake' \(near: x86/cascadelake"):
        target.get("x86/cascadlake")
    with pytest.raises(TargetError, match="near: host"):
        target.get("zzzzzzzz")


def test_a_cpu_that_llvm_does_not_know_is_refused(tmp_path: Path) -> None:
    board = target.get(write(tmp_path, GOOD.replace("cortex-a76", "cortex-a766")))
    with pytest.raises(TargetError, match=r"no CPU 'cortex-a766' for aarch64-linux-gnu \(near: cortex-a76"):
        board.tvm()


@pytest.mark.parametrize("feature", ["+dotproduct", "+avx2"])
def test_a_feature_that_llvm_does_not_know_is_refused(tmp_path: Path, feature: str) -> None:
    board = target.get(write(tmp_path, GOOD.replace("+dotprod", feature)))
    with pytest.raises(TargetError, match="does not know feature"):
        board.tvm()


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (set(), "x86/generic"),
        ({"avx2"}, "x86/generic"),
        (AVX2, "x86/avx2"),
        (AVX512 - {"avx512dq"}, "x86/avx2"),
        (AVX512, "x86/skylake-avx512"),
        (AVX512 | {"avx512_vnni"}, "x86/cascadelake"),
        ({"avx512_vnni"}, "x86/generic"),
    ],
)
def test_host_is_the_most_demanding_target_that_the_cpu_meets(flags: set[str], name: str) -> None:
    assert target.detect("x86_64", frozenset(flags | {"sse2", "an_unknown_flag"})).name == name


def test_host_never_uses_a_feature_that_the_cpu_lacks() -> None:
    known = target.cpu_flags()
    assert {name.replace("avx512vnni", "avx512_vnni") for name in target.get("host").features} <= known


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(TargetError, match=r"this machine \(vax\) has no target of its own"):
        target.detect("vax", frozenset())


def test_vector_bytes_follow_the_features() -> None:
    widths = {name: target.get(name).vector_bytes for name in ("x86/generic", "x86/avx2", "x86/cascadelake")}
    assert widths == {"x86/generic": 16, "x86/avx2": 32, "x86/cascadelake": 64}

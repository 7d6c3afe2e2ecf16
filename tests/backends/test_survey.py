"""What a lowered model takes on a CPU, and what its steps do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from tests import tools
from tvmopt import backends
from tvmopt import target as targets
from tvmopt.backends import elf
from tvmopt.backends.embedded import Embedded
from tvmopt.backends.survey import footprint
from tvmopt.errors import UnsupportedError
from tvmopt.model import Model
from tvmopt.runtime.emulator import Emulated
from tvmopt.target import Memory

from .harness import lowered, make_model, mirror

M4 = targets.get("arm/cortex-m4")
PLAIN = Embedded()


def two_steps() -> Model:
    return make_model(lambda emit, x: emit(mirror, emit(mirror, x)), x=((800,), "int8"))


def test_steps_add_up_to_the_inference(mlperf_tiny: dict[str, Path]) -> None:
    """Instructions as the artifact counts them in sum; bytes as its manifest and its object have them."""
    tools.need(*tools.BARE_METAL)
    model = lowered(mlperf_tiny["kws"], M4)
    found, artifact = footprint(model, M4), backends.build(model, M4)
    engine = artifact.engine
    assert isinstance(engine, Emulated)
    engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})
    total = int(engine.close()) * 40
    steps = sum(step.instructions or 0 for step in found.steps)
    assert abs(total - steps) < 50 * len(found.steps), "asking for the time takes some instructions, too"
    memory = artifact.manifest["memory"]
    assert found.ram_bytes == memory["workspace_bytes"]
    assert found.flash_bytes == memory["weights_bytes"] + elf.loaded_bytes(artifact.path / "model_kernels.o")
    assert found.steps[-1].name == model.outputs[0].name
    assert len(found.steps) == len(memory["steps"])


def test_each_step_has_its_own_instructions() -> None:
    tools.need(*tools.BARE_METAL)
    one, two = footprint(two_steps(), M4).steps
    assert one.instructions is not None and two.instructions is not None
    assert 800 < one.instructions < 20000
    assert abs(one.instructions - two.instructions) <= 80, "the same kernel on as much data"
    assert (one.name, two.name) == ("lv", "y0")


def test_long_inferences_go_round_the_clock(tmp_path: Path) -> None:
    """SysTick has 24 bits: 671 million instructions at 25 MHz. Here are 700 million before the first step."""
    tools.need(*tools.BARE_METAL)
    backends.build(two_steps(), M4).save(tmp_path)
    loop = '{ uint32_t n = 350000000; __asm__ volatile("1: subs %0, #1\\n bne 1b" : "+r"(n)); }'
    source = (tmp_path / "model.c").read_text()
    (tmp_path / "model.c").write_text(source.replace("  STEP(0)", f"  {loop}\n  STEP(0)"))
    subprocess.run(["make", "PROFILE=1"], cwd=tmp_path, check=True, capture_output=True)
    command = re.search(r"@(qemu-.*)", (tmp_path / "Makefile").read_text())
    assert command is not None
    done = subprocess.run(command[1].split(), cwd=tmp_path, input=bytes(800), capture_output=True, check=True)
    total, first, second, end = map(int, done.stderr.split())
    assert first == pytest.approx(700e6 / 40, rel=1e-4)
    assert 0 < second - first < 500 and 0 < end - second < 500 and end <= total < end + 25


@pytest.mark.parametrize("name", ["arm/cortex-m85", "arm/cortex-a53", "x86/avx2"])
def test_targets_whose_instructions_nobody_counts(name: str) -> None:
    target = targets.get(name)
    found = footprint(two_steps(), target)
    assert found.uncounted == f"target {name} has no emulator that counts instructions"
    assert [step.instructions for step in found.steps] == [None, None]
    assert found.flash_bytes > 0 and found.ram_bytes == 800


@pytest.mark.parametrize("missing", tools.BARE_METAL)
def test_tools_that_are_missing_are_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.need(*tools.BARE_METAL)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else which(name))
    found = footprint(two_steps(), M4)
    assert f"needs {missing}" in found.uncounted
    assert {step.instructions for step in found.steps} == {None}


def test_models_that_the_emulated_machine_has_no_flash_for(mlperf_tiny: dict[str, Path]) -> None:
    tools.need(*tools.BARE_METAL)
    assert M4.emulator is not None
    small = replace(M4, emulator=replace(M4.emulator, flash_kib=256))
    found = footprint(lowered(mlperf_tiny["ad"], small), small)
    assert found.uncounted == "it is larger than the emulated machine's flash of 256 KiB"
    assert found.flash_bytes > 256 << 10


def test_models_that_do_not_fit_are_refused(mlperf_tiny: dict[str, Path]) -> None:
    small = replace(M4, memory=Memory(sram_kib=8))
    with pytest.raises(UnsupportedError, match="at a time, and there are 8 KiB"):
        backends.footprint(lowered(mlperf_tiny["kws"], small), small, PLAIN)

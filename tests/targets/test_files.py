"""Every target file that is shipped is complete, and LLVM can generate code for it."""

from __future__ import annotations

import pytest

from tvmopt import target

NAMES = [name for name in target.names() if name != "host"]


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    found = target.get(name)
    assert found.name == name
    assert found.summary
    assert found.tested


@pytest.mark.parametrize("name", NAMES)
def test_llvm_knows_cpu_and_features(name: str) -> None:
    found = target.get(name).tvm()
    assert (found.kind.name, found.host and found.host.kind.name) in (("llvm", None), ("cuda", "llvm"))


@pytest.mark.parametrize("name", NAMES)
def test_its_last_schedule_takes_anything(name: str) -> None:
    assert target.get(name).schedules[-1] in ("generic", "cuda_generic")

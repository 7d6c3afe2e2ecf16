"""Our cycles of a systolic array beside those of an independent simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import systolic
from tvmopt.errors import InputError


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad", "mobilenet_v2-u8-qdq"])
def test_compute_cycles_are_scalesim_s(name: str, shared: Path) -> None:
    cycles = systolic.recorded()
    checked = 0
    for program in systolic.programs(name, "edge/systolic-64x64"):
        rows = systolic.compare(name, program, cycles)
        for row, parts in zip(rows, systolic.convolutions(program), strict=True):
            if row.scalesim_cycles is None:
                assert row.layer.array_cycles == 0
                continue
            # SCALE-Sim gives the number of a convolution's last cycle, counted from 0; we give how many there are.
            assert row.layer.array_cycles - row.scalesim_cycles == len(parts)
            assert abs(row.layer.array_cycles - row.scalesim_cycles) <= 0.02 * row.scalesim_cycles
            checked += 1
    assert checked >= 10


def test_what_was_not_recorded(shared: Path) -> None:
    (program,) = systolic.programs("ad", "edge/systolic-64x64")
    with pytest.raises(InputError, match=r"SCALE-Sim's cycles of .* are not recorded \(give --scalesim PYTHON\)"):
        systolic.compare("ad", program, {})


def test_targets_without_an_array() -> None:
    with pytest.raises(InputError, match="target x86/generic has no systolic array"):
        systolic.programs("ad", "x86/generic")

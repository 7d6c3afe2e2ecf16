"""Energy: figures of target files, what they follow from, and how well that predicts."""

from __future__ import annotations

import pytest

import tvmopt
from benchmarks import energy, mlperf_tiny
from tests import tools
from tvmopt import demo
from tvmopt import target as targets
from tvmopt.target import ActivePower

KNOWN = mlperf_tiny.read()


@pytest.mark.parametrize("name", KNOWN.boards)
def test_target_files_have_what_follows_from_measurements(name: str) -> None:
    power, cycles = KNOWN.figures()[name]
    found = targets.get(name).energy
    assert isinstance(found, ActivePower)
    assert (found.clock_mhz, found.active_mw) == (KNOWN.boards[name].mhz, round(power, 1))
    assert found.cycles_per_instruction == round(cycles, 2)


def test_no_other_microcontroller_has_figures() -> None:
    found = {name for name in targets.names()[1:] if isinstance(targets.get(name).energy, ActivePower)}
    assert found == set(KNOWN.boards)


def test_energy_is_predicted_by_the_other_models() -> None:
    found = KNOWN.leave_one_out()
    assert set(found) == set(energy.MODELS)
    for predicted, measured in found.values():
        assert predicted == pytest.approx(measured, rel=0.15)
    assert sorted(found, key=lambda name: found[name][0]) == sorted(found, key=lambda name: found[name][1])


def test_tables_by_hand() -> None:
    """At 100 MHz ten inferences a second of five million instructions: two cycles each; 4 mJ each are 40 mW."""
    board = mlperf_tiny.Board("board", 100, {"ad": (10.0, 4000.0)})
    code = mlperf_tiny.Code("board", 100, {"ad": (5_000_000, 10.0, None)})
    assert board.milliwatts() == {"ad": 40.0}
    assert board.cycles() == {"ad": 10_000_000}
    assert code.cycles_per_instruction() == {"ad": 2.0}


def test_tables_of_estimates() -> None:
    tools.need(*tools.BARE_METAL)
    one = tvmopt.estimate(demo.INT8_MODEL, mlperf_tiny.BASE)
    array = tvmopt.estimate(demo.INT8_MODEL, energy.ARRAY)
    report = energy.Report({mlperf_tiny.BASE: {"ad": one}}, {"ad, pruned": one}, {"ad": array})
    text = energy.markdown([*energy.measured_tables(KNOWN), *energy.estimated_tables(KNOWN, report)])
    costs = f"{one.energy_uj:,.0f} | {one.flash_bytes:,} |"
    ratio = one.energy_uj / KNOWN.boards[mlperf_tiny.BASE].models["ad"][1]
    assert f"{costs} 203 | {ratio:.2f} |\n" in text
    assert f"| ad, pruned | {mlperf_tiny.BASE} | " in text
    assert f"| ad | {array.macs:,} | {array.utilisation:.1%} | {array.energy_uj:.1f} | 5.3 |\n" in text
    written = energy.REPORT.read_text().partition(energy.MARK)
    assert written[1] and energy.markdown(energy.measured_tables(KNOWN)).strip() in written[2]

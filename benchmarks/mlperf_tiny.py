"""What others measured of MLPerf Tiny's models (mlperf_tiny.json), and the figures of target files that follow."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

DATA = Path(__file__).with_suffix(".json")
BASE = "arm/cortex-m4"
"""The target whose cycles others' are told from."""


class Board(msgspec.Struct, frozen=True):
    """What a board took: by model, inferences in a second, and uJ for one."""

    board: str
    mhz: int
    models: dict[str, tuple[float, float]]

    def milliwatts(self) -> dict[str, float]:
        """By model."""
        return {name: rate * energy / 1e3 for name, (rate, energy) in self.models.items()}

    def cycles(self) -> dict[str, float]:
        """Of one inference, by model."""
        return {name: self.mhz * 1e6 / rate for name, (rate, _) in self.models.items()}


class Code(msgspec.Struct, frozen=True):
    """What a board took for code that is public: by model, its instructions, inferences in a second, and uJ for one."""

    board: str
    mhz: int
    models: dict[str, tuple[int, float, float | None]]

    def cycles_per_instruction(self) -> dict[str, float]:
        """By model."""
        return {name: self.mhz * 1e6 / rate / count for name, (count, rate, _) in self.models.items()}


class Measured(msgspec.Struct, frozen=True):
    """mlperf_tiny.json: boards and code by target, uJ of an accelerator by model; beside each where it is from."""

    published: str
    boards: dict[str, Board]
    counted: str
    code: dict[str, Code]
    accelerator: str
    accelerator_uj: dict[str, float]

    def share_of_cycles(self, target: str) -> dict[str, float]:
        """By model, cycles of a target as a share of those of ``BASE``, with the same software."""
        cycles, others = (self.boards[name].cycles() for name in (target, BASE))
        return {name: cycles[name] / others[name] for name in cycles}

    def figures(self) -> dict[str, tuple[float, float]]:
        """By target, mW and cycles per instruction. Where no code is public, these are ``BASE``'s times the share."""
        of_base = statistics.median(self.code[BASE].cycles_per_instruction().values())
        found = {}
        for target, board in self.boards.items():
            if target in self.code:
                cycles = statistics.median(self.code[target].cycles_per_instruction().values())
            else:
                cycles = of_base * statistics.median(self.share_of_cycles(target).values())
            found[target] = statistics.median(board.milliwatts().values()), cycles
        return found

    def leave_one_out(self) -> dict[str, tuple[float, float]]:
        """By model, uJ of the code of ``BASE``: predicted from the other three models, and measured."""
        code, found = self.code[BASE], {}
        cycles = code.cycles_per_instruction()
        powers = {name: rate * energy / 1e3 for name, (_, rate, energy) in code.models.items() if energy is not None}
        for name, (count, _, energy) in code.models.items():
            assert energy is not None
            each, power = (
                statistics.median(value for other, value in values.items() if other != name)
                for values in (cycles, powers)
            )
            found[name] = count * each / code.mhz * power / 1e3, energy
        return found


def read() -> Measured:
    """mlperf_tiny.json."""
    return msgspec.json.decode(DATA.read_bytes(), type=Measured)

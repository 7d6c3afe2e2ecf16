"""How long a campaign goes on: "8h", "500trials", or "until 1% gain per 30min"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError

_UNITS = {"s": 1, "min": 60, "h": 3600}
_TIME = r"(\d+(?:\.\d+)?) ?(s|min|h)"


@dataclass(frozen=True)
class Progress:
    """Where a campaign is: seconds since it started, trials made, seconds that all tasks take with their best, and how
    many times faster models became.

    ``total`` is 0 while that is not known.
    """

    seconds: float
    trials: int
    total: float
    gain: float = 1.0


@dataclass(frozen=True)
class Budget:
    """What ends a campaign, whichever comes first: so many seconds or trials, or too little gained in a while.

    gain    : share of the model's time that must be gained in every
    window  : seconds, or else the campaign is over.
    """

    text: str
    seconds: float = math.inf
    trials: float = math.inf
    gain: float = 0.0
    window: float = math.inf

    @staticmethod
    def parse(text: str) -> Budget:
        """Read it as people write it. Raises InputError."""
        if found := re.fullmatch(_TIME, text.strip()):
            budget = Budget(text, seconds=float(found[1]) * _UNITS[found[2]])
        elif found := re.fullmatch(r"(\d+) ?trials", text.strip()):
            budget = Budget(text, trials=int(found[1]))
        elif found := re.fullmatch(rf"until (\d+(?:\.\d+)?)% gain per {_TIME}", text.strip()):
            budget = Budget(text, gain=float(found[1]) / 100, window=float(found[2]) * _UNITS[found[3]])
        else:
            hint = "write '8h', '30min', '90s', '500trials' or 'until 1% gain per 30min'"
            raise InputError(f"'{text}' is no budget", hint=hint)
        if min(budget.seconds, budget.trials, budget.window) <= 0:
            raise InputError(f"the budget '{text}' allows nothing")
        return budget

    def spent(self, past: Sequence[Progress]) -> float:
        """The share that is spent: 0 at the start, 1 or more when the campaign is over.

        past : where it was, oldest first; the last one is now.
        """
        now = past[-1]
        share = max(now.seconds / self.seconds, now.trials / self.trials)
        if now.seconds >= self.window:
            before = next(at for at in reversed(past) if at.seconds <= now.seconds - self.window)
            if before.total:
                share = max(share, float(now.total > before.total * (1 - self.gain)))
        return share

"""Budgets of a search: a time or a number of judged candidates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from symact.errors import BudgetError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Budget:
    """The size of a search: a time or a number of candidates. Exactly one of the two is set.

    Attributes:
        seconds: Wall time of the run: data, baselines, search and finalists.
        candidates: Number of candidates that pass the screen and are trained.

    Example:
        >>> str(Budget(seconds=90)), str(Budget(candidates=500))
        ('90s', '500')
    """

    seconds: float | None = None
    candidates: int | None = None

    def __str__(self) -> str:
        if self.seconds is None:
            return str(self.candidates)
        return f"{self.seconds:.6f}".rstrip("0").rstrip(".") + "s"

    def fraction(self, seconds: float, candidates: int) -> float:
        """Return how much is used up, in [0, 1]."""
        used = (
            seconds / self.seconds
            if self.seconds is not None
            else candidates / max(self.candidates or 1, 1)
        )
        return min(used, 1.0)


def in_words(seconds: float) -> str:
    """Return a time to the second, in at most two units.

    Example:
        >>> in_words(200.4), in_words(7200), in_words(0.3)
        ('3 min 20 s', '2 h', '0 s')
    """
    whole, second = divmod(round(seconds), 60)
    hours, minutes = divmod(whole, 60)
    units = {"h": hours, "min": minutes, "s": second}
    return " ".join([f"{own} {unit}" for unit, own in units.items() if own][:2]) or "0 s"


def parse_budget(text: str | int | Budget) -> Budget:
    """Read ``"5m"``, ``"90s"``, ``"1.5h"`` as a time and ``"500"`` or 500 as candidates.

    Raises:
        BudgetError: The text is neither, or the number is not positive.

    Example:
        >>> parse_budget("5m")
        Budget(seconds=300.0, candidates=None)
    """
    if isinstance(text, Budget):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    if match:
        number, unit = float(match[1]), match[2]
        seconds = round(number * _UNITS.get(unit, 0.0), 6)
        if 0 < seconds < float("inf"):
            return Budget(seconds=seconds)
        if not unit and number > 0 and number.is_integer():
            return Budget(candidates=int(number))
    raise BudgetError(
        f"budget '{text}': expected a time such as 5m, 90s or 1h, or a number of candidates "
        "such as 500"
    )

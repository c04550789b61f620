"""What a search says of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """What a search reports after each step.

    Attributes:
        phase: ``"gate"``, ``"search"``, ``"select"`` or ``"done"``.
        fraction: Of the budget used, in [0, 1].
        seconds: Spent on the search so far, over all sessions.
        counts: As in :attr:`Result.counts`.
        best: The best formula so far, empty before the first full training.
        ratio: Its OOD error over the reference's on the full rung's search draws, or None.
        message: A line for the log, possibly empty.
    """

    phase: str
    fraction: float
    seconds: float
    counts: dict[str, int]
    best: str = ""
    ratio: float | None = None
    message: str = ""


OnProgress = Callable[[Progress], None]

"""Who is looked at more closely: the best, and the best of the kinds that were looked at least."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.behaviour import kind
from symact.expr import parse

#: At least so many of the best are looked at anew, beside their forecasts, to choose from.
SHORTLIST = 128

#: Merits of candidates as a model forecasts them.
Forecasts = Callable[[Sequence[int]], NDArray[np.float64]]


class Queue:
    """Candidates that wait to be promoted, the best first; a share of all that come are.

    Args:
        formulas: Of every candidate.
        due: The part of a promotion that earlier candidates have earned.
    """

    def __init__(self, formulas: dict[int, str], due: float = 0.0) -> None:
        self.due = due
        self._formulas = formulas
        self._waiting: list[tuple[float, int]] = []
        self._turns = 0
        self._kinds: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, candidate: int, merit: float) -> None:
        """Let a candidate wait; a low merit is good."""
        heappush(self._waiting, (merit, candidate))

    def leave_out(self, done: Collection[int]) -> None:
        """Take out those that were promoted before this queue was made, and remember them."""
        self._waiting = [item for item in self._waiting if item[1] not in done]
        heapify(self._waiting)
        self._turns += len(done)
        self._kinds.update(map(self._kind, done))

    def take(self, earned: float, forecasts: Forecasts | None = None) -> list[int]:
        """Take the best, as many as are due.

        Args:
            earned: The part of a promotion that is due beyond what was.
            forecasts: What was measured has luck in it, what is forecast has none: where there is
                a model both count alike.
        """
        self.due += earned
        whole = min(int(self.due), len(self._waiting))
        self.due -= whole
        if not whole:
            return []
        most = max(SHORTLIST, 2 * whole)
        short = [heappop(self._waiting) for _ in range(min(len(self._waiting), most))]
        if forecasts is not None:
            means = np.array([merit for merit, _ in short]) + forecasts([c for _, c in short])
            short = [short[place] for place in np.argsort(means, kind="stable")]
        chosen = []
        for _ in range(whole):
            self._turns += 1
            # Every other one is the best of a kind that was chosen least: what mini-training says
            # too much or too little of, full training has to see to correct it.
            place = (
                min(range(len(short)), key=lambda p: self._kinds[self._kind(short[p][1])])
                if self._turns % 2 == 0
                else 0
            )
            candidate = short.pop(place)[1]
            self._kinds[self._kind(candidate)] += 1
            chosen.append(candidate)
        for item in short:
            heappush(self._waiting, item)
        return chosen

    def _kind(self, candidate: int) -> str:
        return _behaviour(self._formulas[candidate])


@functools.lru_cache(maxsize=65536)
def _behaviour(formula: str) -> str:
    return kind(parse(formula))

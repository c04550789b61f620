"""Choose trials for the next fidelity: the best, and the best of the rarest behaviours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from symact.engine.trial import Trial

#: Minimum number of best trials that are ranked again with their predictions.
SHORTLIST = 128

#: Predicts the penalised scores of trials, ``[trial]``.
Predictor = Callable[[Sequence[Trial]], NDArray[np.float64]]


class PromotionQueue:
    """Trials that wait for a promotion, the best first. A share of all trials is promoted.

    Args:
        due: The part of a promotion that earlier trials have earned.
    """

    def __init__(self, due: float = 0.0) -> None:
        self.due = due
        self._waiting: list[tuple[float, int, Trial]] = []
        self._turns = 0
        self._kinds: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, trial: Trial, score: float) -> None:
        """Add a trial. Lower scores are better."""
        heappush(self._waiting, (score, trial.id, trial))

    def leave_out(self, done: Iterable[Trial]) -> None:
        """Remove trials that were promoted before this queue was made, and remember their kinds."""
        promoted = {trial.id: trial for trial in done}
        self._waiting = [item for item in self._waiting if item[1] not in promoted]
        heapify(self._waiting)
        self._turns += len(promoted)
        self._kinds.update(trial.behaviour for trial in promoted.values())

    def take(self, earned: float, predict: Predictor | None = None) -> list[Trial]:
        """Remove the best trials, as many as are due.

        Args:
            earned: The part of a promotion that is due beyond the present one.
            predict: Predicts scores. The mean of measurement and prediction ranks the trials. A
                measurement depends on the draw, a prediction does not. None ranks by measurement
                alone.

        Returns:
            The trials in the order in which they were chosen.
        """
        self.due += earned
        count = min(int(self.due), len(self._waiting))
        self.due -= count
        if not count:
            return []
        short = self._shortlist(max(SHORTLIST, 2 * count), predict)
        chosen = [self._choose(short) for _ in range(count)]
        for item in short:
            heappush(self._waiting, item)
        return chosen

    def _shortlist(self, most: int, predict: Predictor | None) -> list[tuple[float, int, Trial]]:
        short = [heappop(self._waiting) for _ in range(min(len(self._waiting), most))]
        if predict is None:
            return short
        predicted = predict([trial for _, _, trial in short])
        means = np.array([score for score, _, _ in short]) + predicted
        return [short[index] for index in np.argsort(means, kind="stable")]

    def _choose(self, short: list[tuple[float, int, Trial]]) -> Trial:
        """Remove the best; every second time the best of the kind that was chosen least.

        Where the lowest fidelity favours a kind wrongly, only a higher one can correct it.
        """
        self._turns += 1
        index = 0
        if self._turns % 2 == 0:
            index = min(range(len(short)), key=lambda i: self._kinds[short[i][2].behaviour])
        trial = short.pop(index)[2]
        self._kinds[trial.behaviour] += 1
        return trial

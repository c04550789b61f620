"""What mini-training would say, forecast from a function's values: microseconds for milliseconds.

A model of fitness learns from every candidate that was mini-trained in this run: two functions of
nearly the same values train to nearly the same errors. It is asked about many proposals for each
one that is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact._shared import single_threaded
from symact.backends import evaluate_with_slopes
from symact.backends.sampling import SURROGATE
from symact.expr import Expr
from symact.tasks import scores as stats

Floats = NDArray[np.float64]

#: Differences count less far out, where few pre-activations are.
_WEIGHT: Floats = np.exp(-np.abs(SURROGATE.line) / 4)

#: Errors beyond this many decades from the reference are all the same: bad.
_LIMIT = 1.0
#: Before so many were trained nothing is forecast.
LEAST = 96
#: Of more, the best and the latest are learned from: cost grows with the square, at least.
_MOST = 2400
#: A new fit when the data have grown by this part.
_GROWTH = 1.03

#: The Gaussian process: its length scale, the variances of signal and noise as parts of what is
#: learned.
_LENGTH, _SIGNAL, _NOISE = 1.4, 10.0, 0.1
#: Before so many were fully trained mini-training is not corrected; noise of the correction.
LEAST_CORRECTED = 12
_CORRECTION_NOISE = 1.0
#: Standard deviations that an uncertain forecast gains, and how far apart what is trained together
#: has to be.
CURIOSITY, APART = 0.2, 0.28


def features(expr: Expr, inputs: tuple[str, ...] = ("x",)) -> Floats:
    """Return the features of a function: weighted, compressed values and slopes by each input."""
    points = SURROGATE.points(len(inputs))
    with np.errstate(all="ignore"):
        pairs = [evaluate_with_slopes(expr, *points, inputs=inputs, wrt=name) for name in inputs]
    both = np.stack([pairs[0][0], *(slope for _, slope in pairs)])
    if not np.isfinite(both).all():
        both = np.nan_to_num(both, nan=0.0, posinf=1e6, neginf=-1e6)
    seen: Floats = (np.arcsinh(both) * _WEIGHT).reshape(-1)
    return seen


class Forecast:
    """What the rungs would say of a function, learned from what they said of others.

    Mini-training is forecast by a Gaussian process; what full training adds to it by a second one
    over what both rungs have judged. docs/search.md has what they were measured to be worth.

    A fit depends on the data alone, in their order, so that a resumed search forecasts the same.
    """

    def __init__(self) -> None:
        self._seen: list[Floats] = []
        self._above: list[tuple[float, float]] = []
        self._corrected: list[int] = []  # rows that full training judged too
        self._corrections: list[tuple[float, float]] = []
        self._rows: dict[int, int] = {}  # of a candidate
        self.fitted = (0, 0)
        self._process: Any = None
        self._correction: Any = None

    def add(self, candidate: int, expr: Expr, above: tuple[float, float]) -> None:
        """Learn what mini-training says: OOD and ID error in decades above the reference's."""
        self._rows[candidate] = len(self._seen)
        self._seen.append(features(expr))
        self._above.append(_limited(above))

    def correct(self, candidate: int, above: tuple[float, float]) -> None:
        """Learn what full training says of a candidate that was mini-trained."""
        row = self._rows[candidate]
        mini, full = self._above[row], _limited(above)
        self._corrected.append(row)
        self._corrections.append((full[0] - mini[0], full[1] - mini[1]))

    @property
    def is_ready(self) -> bool:
        """Whether it can forecast."""
        return self._process is not None

    @property
    def is_due(self) -> bool:
        """Whether there is enough new to fit again."""
        return len(self._seen) >= max(LEAST, self.fitted[0] * _GROWTH)

    def fit(self, counts: tuple[int, int] | None = None) -> None:
        """Fit to the first so many results of mini-training and of full training, None for all."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        self.fitted = (len(self._seen), len(self._corrected)) if counts is None else counts
        rows = self._chosen(self.fitted[0])
        x = np.array([self._seen[row] for row in rows])
        y = np.array([self._above[row] for row in rows])
        kernel = ConstantKernel(_SIGNAL, "fixed") * RBF(_LENGTH, "fixed")
        kernel += WhiteKernel(_NOISE, "fixed")
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        with single_threaded():  # the cores are training; and results shall not depend on them
            self._process = process.fit(x, y)
            few = self._corrected[: self.fitted[1]]
            if len(few) >= LEAST_CORRECTED:
                kernel = RBF(_LENGTH, "fixed") + WhiteKernel(_CORRECTION_NOISE, "fixed")
                self._correction = GaussianProcessRegressor(
                    kernel, optimizer=None, normalize_y=True
                ).fit(
                    np.array([self._seen[row] for row in few]),
                    np.array(self._corrections[: self.fitted[1]]),
                )

    def _chosen(self, count: int) -> list[int]:
        """Return the rows to learn from: all, or the better half of the most and the latest."""
        if count <= _MOST:
            return list(range(count))
        latest = range(count - _MOST // 2, count)
        merits = stats.merit(*np.array(self._above[: latest.start]).T)
        best = np.argsort(merits, kind="stable")[: _MOST // 2]
        return sorted({*map(int, best), *latest})

    def predict(self, exprs: Sequence[Expr]) -> tuple[Floats, Floats]:
        """Return what full training is expected to say, and how uncertain that is.

        Returns:
            OOD and ID error above the reference's in log10, [candidate, 2], and the standard
            deviation of the process that forecasts them, likewise.
        """
        mean, deviation = self._forecast(np.array([features(expr) for expr in exprs]))
        return mean, deviation

    def of(self, candidates: Sequence[int]) -> Floats:
        """Return the same forecast of candidates that were mini-trained, [candidate, 2]."""
        return self._forecast(np.array([self._seen[self._rows[c]] for c in candidates]))[0]

    def _forecast(self, x: Floats) -> tuple[Floats, Floats]:
        with single_threaded():
            mean, deviation = self._process.predict(x, return_std=True)
            if self._correction is not None:
                mean = mean + self._correction.predict(x)
        return np.asarray(mean), np.asarray(deviation)

    def choose(self, exprs: Sequence[Expr], count: int, groups: Sequence[int] = ()) -> list[int]:
        """Return the places of the most promising, no two of them nearly the same function.

        Promising is a low forecast, or an uncertain one: its lower bound counts
        (``CURIOSITY`` standard deviations).

        Args:
            exprs: To choose from.
            count: How many, at most.
            groups: The group of each; all groups get equal shares of what is chosen.
        """
        x = np.array([features(expr) for expr in exprs])
        mean, deviation = self._forecast(x)
        low = mean - CURIOSITY * deviation
        order = np.argsort(stats.merit(low[:, 0], low[:, 1]), kind="stable")
        groups = groups or [0] * len(exprs)
        share = -(-count // len(set(groups)))
        taken: Counter[int] = Counter()
        chosen: list[int] = []
        nearest = np.full(len(x), np.inf)
        # A group that has not enough that is new leaves its share to the others.
        for limit in (share, count):
            for place in map(int, order):
                if len(chosen) == count:
                    return chosen
                if nearest[place] > APART**2 and taken[groups[place]] < limit:
                    chosen.append(place)
                    taken[groups[place]] += 1
                    nearest = np.minimum(nearest, ((x - x[place]) ** 2).sum(axis=1))
        return chosen


def apart(exprs: Iterable[Expr], most: int) -> list[int]:
    """Return the places of the first functions that are not nearly the same as an earlier one.

    Args:
        exprs: Functions; what comes after the last that is wanted is not looked at.
        most: How many places are wanted.
    """
    kept: list[int] = []
    seen: list[Floats] = []
    for place, expr in enumerate(exprs):
        own = features(expr)
        if all(float(((own - other) ** 2).sum()) > APART**2 for other in seen):
            kept.append(place)
            seen.append(own)
        if len(kept) >= most:
            break
    return kept


def _limited(above: tuple[float, float]) -> tuple[float, float]:
    ood, inside = (min(max(value, -_LIMIT), _LIMIT) for value in above)
    return ood, inside

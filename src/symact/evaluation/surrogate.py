"""Predict training scores from function values.

A prediction takes microseconds; a training takes milliseconds. The surrogate learns from all
mini-trained candidates of a run. Functions with similar values train to similar errors. A search
predicts many proposals for each proposal that it trains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact._shared import single_threaded
from symact.backends import evaluate_with_slopes
from symact.backends.sampling import SURROGATE
from symact.expr import Expr, parameters, var, with_parameters
from symact.tasks import scores as stats
from symact.tasks.protocol import CLIP

Floats = NDArray[np.float64]
#: Returns the features of a function, float64 ``[feature]``.
Features = Callable[[Expr], Floats]

#: Weights of the grid points. Few pre-activations are large, so differences there have less weight.
_WEIGHT: Floats = np.exp(-np.abs(SURROGATE.line) / 4)

#: The default for the minimum number of trained candidates for a fit.
LEAST = 96
#: Maximum number for a fit, because the cost grows quadratically. Of more candidates, the best and
#: the latest are used.
_MOST = 2400
#: The surrogate is fitted again after the data have grown by this factor.
_GROWTH = 1.03

#: Length scale and variances of signal and noise of the Gaussian process.
_LENGTH, _SIGNAL, _NOISE = 1.4, 10.0, 0.1
#: Minimum number of fully trained candidates for a fit of the correction, and its noise.
LEAST_CORRECTED = 12
_CORRECTION_NOISE = 1.0
#: Number of standard deviations between the mean and the lower bound of a prediction.
CURIOSITY = 0.2
#: Minimum distance between the features of candidates that are trained together.
MIN_DISTANCE = 0.28


def features(expr: Expr, inputs: tuple[str, ...] = ("x",)) -> Floats:
    """Return the features of a function on a grid.

    They are its values, its slopes along each input, and the root of the sum of its squared slopes
    along the trained parameters, 0 for a function without them. Features are compressed by
    ``arcsinh`` and weighted. They have the type float64, and the shape [183] for one input.
    """
    points = SURROGATE.points(len(inputs))
    trained = parameters(expr)
    names = tuple(f"parameter{place}" for place in range(len(trained)))
    free = with_parameters(expr, [var(name) for name in names])
    starts = [np.full_like(points[0], own.parameter[0]) for own in trained]
    every = (*inputs, *names)
    with np.errstate(all="ignore"):
        pairs = [
            evaluate_with_slopes(free, *points, *starts, inputs=every, wrt=name) for name in every
        ]
        slopes = [slope for _, slope in pairs]
        moved = np.sqrt(sum((own**2 for own in slopes[len(inputs) :]), np.zeros(len(points[0]))))
    seen = np.stack([pairs[0][0], *slopes[: len(inputs)], moved])
    if not np.isfinite(seen).all():
        seen = np.nan_to_num(seen, nan=0.0, posinf=1e6, neginf=-1e6)
    features: Floats = (np.arcsinh(seen) * _WEIGHT).reshape(-1)
    return features


class Surrogate:
    """Predicts the training scores of a function from those of other functions.

    One Gaussian process predicts the errors of mini-training. A second process predicts the
    difference between full training and mini-training. It learns from candidates with both
    trainings. docs/search.md reports measurements of both.

    A fit depends only on the data and their order, so a resumed search predicts the same.

    Args:
        features: Returns the features of a function, float64 ``[feature]``.
        least: Minimum number of trained candidates for a fit.
        clip: Errors count as at most so many decades above or below the reference's.

    Attributes:
        fitted: Numbers of results of mini-training and of full training in the last fit.
    """

    def __init__(
        self, features: Features = features, least: int = LEAST, clip: float = CLIP
    ) -> None:
        self._features, self._least, self._clip = features, least, clip
        self._seen: list[Floats] = []
        self._above: list[tuple[float, float]] = []
        self._corrected: list[int] = []  # rows that full training judged too
        self._corrections: list[tuple[float, float]] = []
        self._rows: dict[int, int] = {}  # of a candidate
        self.fitted = (0, 0)
        self._process: Any = None
        self._correction: Any = None

    def add(self, candidate: int, expr: Expr, above: tuple[float, float]) -> None:
        """Add a result of mini-training.

        Args:
            candidate: Number of the candidate.
            expr: The candidate.
            above: OOD and ID error relative to the reference, in log10.
        """
        self._rows[candidate] = len(self._seen)
        self._seen.append(self._features(expr))
        self._above.append(self._clipped(above))

    def correct(self, candidate: int, above: tuple[float, float]) -> None:
        """Add a result of full training of a candidate that was mini-trained."""
        row = self._rows[candidate]
        mini, full = self._above[row], self._clipped(above)
        self._corrected.append(row)
        self._corrections.append((full[0] - mini[0], full[1] - mini[1]))

    @property
    def is_ready(self) -> bool:
        """Whether the surrogate can predict."""
        return self._process is not None

    @property
    def is_due(self) -> bool:
        """Whether there are enough new results for another fit."""
        return len(self._seen) >= max(self._least, self.fitted[0] * _GROWTH)

    def fit(self, counts: tuple[int, int] | None = None) -> None:
        """Fit to the first results of mini-training and of full training.

        Args:
            counts: Numbers of results of both trainings to fit to; None for all results.
        """
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        self.fitted = (len(self._seen), len(self._corrected)) if counts is None else counts
        rows = self._chosen(self.fitted[0])
        x = np.array([self._seen[row] for row in rows])
        y = np.array([self._above[row] for row in rows])
        kernel = ConstantKernel(_SIGNAL, "fixed") * RBF(_LENGTH, "fixed")
        kernel += WhiteKernel(_NOISE, "fixed")
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        # Other cores train, and results must not depend on the number of threads.
        with single_threaded():
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
        """Return the rows to learn from: all, or half of the best and half of the latest."""
        if count <= _MOST:
            return list(range(count))
        latest = range(count - _MOST // 2, count)
        merits = stats.penalise(*np.array(self._above[: latest.start]).T)
        best = np.argsort(merits, kind="stable")[: _MOST // 2]
        return sorted({*map(int, best), *latest})

    def _clipped(self, above: tuple[float, float]) -> tuple[float, float]:
        ood, inside = (min(max(value, -self._clip), self._clip) for value in above)
        return ood, inside

    def predict(self, exprs: Sequence[Expr]) -> tuple[Floats, Floats]:
        """Return the expected errors of full training and their uncertainty.

        Returns:
            OOD and ID error relative to the reference in log10, [candidate, 2], and their standard
            deviations, [candidate, 2].
        """
        mean, deviation = self._predict(np.array([self._features(expr) for expr in exprs]))
        return mean, deviation

    def of(self, candidates: Sequence[int]) -> Floats:
        """Return the expected errors of mini-trained candidates, [candidate, 2]."""
        return self._predict(np.array([self._seen[self._rows[c]] for c in candidates]))[0]

    def _predict(self, x: Floats) -> tuple[Floats, Floats]:
        with single_threaded():
            mean, deviation = self._process.predict(x, return_std=True)
            if self._correction is not None:
                mean = mean + self._correction.predict(x)
        return np.asarray(mean), np.asarray(deviation)

    def choose(self, exprs: Sequence[Expr], count: int, groups: Sequence[int] = ()) -> list[int]:
        """Return the indices of the most promising functions, without near-duplicates.

        Functions are ranked by the lower bound of their prediction, ``CURIOSITY`` standard
        deviations below the mean.

        Args:
            exprs: The functions.
            count: Maximum number of indices.
            groups: Group of each function. All groups get equal shares of the choice.
        """
        x = np.array([self._features(expr) for expr in exprs])
        mean, deviation = self._predict(x)
        low = mean - CURIOSITY * deviation
        order = np.argsort(stats.penalise(low[:, 0], low[:, 1]), kind="stable")
        groups = groups or [0] * len(exprs)
        share = -(-count // len(set(groups)))
        taken: Counter[int] = Counter()
        chosen: list[int] = []
        nearest = np.full(len(x), np.inf)
        # Unused places of a group go to the other groups.
        for limit in (share, count):
            for index in map(int, order):
                if len(chosen) == count:
                    return chosen
                if nearest[index] > MIN_DISTANCE**2 and taken[groups[index]] < limit:
                    chosen.append(index)
                    taken[groups[index]] += 1
                    nearest = np.minimum(nearest, ((x - x[index]) ** 2).sum(axis=1))
        return chosen


def drop_near_duplicates(
    exprs: Iterable[Expr], most: int, features: Features = features
) -> list[int]:
    """Return the indices of functions without near-duplicates of earlier functions.

    Args:
        exprs: The functions. Iteration stops when there are enough indices.
        most: Maximum number of indices.
        features: Returns the features of a function.
    """
    kept: list[int] = []
    seen: list[Floats] = []
    for index, expr in enumerate(exprs):
        own = features(expr)
        if all(float(((own - other) ** 2).sum()) > MIN_DISTANCE**2 for other in seen):
            kept.append(index)
            seen.append(own)
        if len(kept) >= most:
            break
    return kept

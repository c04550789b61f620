"""Pareto fronts. All objectives are minimised; moocore computes the fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def non_dominated(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points are on the Pareto front.

    A point is dominated if another point is at least as good in all objectives and better in one.
    Equal points do not dominate each other. NaN is worse than infinity.

    Args:
        points: Objectives, [point, objective].

    Returns:
        True for each point of the front, [point].

    Example:
        >>> non_dominated([(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)]).tolist()
        [True, True, False]
    """
    from moocore import is_nondominated

    values = _finite(points)
    if not len(values):
        return np.zeros(0, dtype=bool)
    return np.asarray(is_nondominated(values, keep_weakly=True), dtype=bool)


def pareto_ranks(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the front of each point: 0 for the Pareto front, 1 for the next front, and so on.

    Args:
        points: Objectives, [point, objective]. NaN is worse than infinity.

    Example:
        >>> pareto_ranks([(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)]).tolist()
        [0, 0, 1]
    """
    from moocore import pareto_rank

    values = _finite(points)
    return np.asarray(pareto_rank(values), dtype=np.int64) if len(values) else np.zeros(0, int)


def _finite(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return finite objectives of the same order; moocore orders infinite ones wrongly."""
    values = np.asarray(points, dtype=np.float64)
    if np.isfinite(values).all():
        return values
    order = [np.unique(column, return_inverse=True)[1] for column in values.T]
    return np.stack(order, axis=1).astype(np.float64)

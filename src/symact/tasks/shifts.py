"""Pseudo-shifts: ways to divide training data into an inner and an outer part.

A function that extrapolates from the inner to the outer part may also extrapolate from the whole
data to points outside. No OOD data are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.errors import TaskError
from symact.tasks.instance import constant_columns

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The share of the rows in the outer part.
OUTER = 0.4
#: The number of rows to divide at least.
MIN_ROWS = 48
#: Number of clusters, and of single inputs that are shifted.
_CLUSTERS, _INPUTS = 4, 2


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """A division of the rows of a table.

    Attributes:
        name: What the outer rows have in common.
        inner: Indices of the inner rows, in random order.
        outer: Indices of the outer rows, from near to far.
    """

    name: str
    inner: IntArray
    outer: IntArray


def pseudo_shifts(x: FloatArray, y: FloatArray, *, seed: int = 0) -> tuple[Shift, ...]:
    """Return pseudo-shifts of a table.

    The outer rows are:

    - ``shell``: those with the largest absolute coordinate, in units of the spread of each input;
    - ``upper``, ``lower``: those with the largest coordinate upwards, downwards;
    - ``first component``, ``first component, reversed``: the ends of the first principal component;
    - ``input NUMBER``: the largest values of a column, for the columns that correlate most with the
      targets;
    - ``cluster``: the rows of the clusters that are farthest from the mean.

    Shifts that equal an earlier one, as for a single input, are left out.

    Args:
        x: Inputs ``[row, input]``.
        y: Targets ``[row, output]``.
        seed: Seed of the order of the inner rows and of the clusters.

    Raises:
        TaskError: There are too few rows, or all inputs are constant.
    """
    if len(x) < MIN_ROWS:
        raise TaskError(f"X has {len(x)} distinct rows, at least {MIN_ROWS} are needed")
    varied = ~constant_columns(x)
    if not varied.any():
        raise TaskError("X is constant in all columns; nothing to shift")
    unit = _unit(x[:, varied])
    component = _first_component(unit)
    distances = {
        "shell": np.abs(unit).max(axis=1),
        "upper": unit.max(axis=1),
        "lower": (-unit).max(axis=1),
        "first component": component,
        "first component, reversed": -component,
    }
    names = np.flatnonzero(varied)
    for column in _most_correlated(unit, y):
        distances[f"input {names[column]}"] = unit[:, column]
    distances["cluster"] = _cluster_distance(unit, seed)
    return _distinct(distances, seed)


def _unit(x: FloatArray) -> FloatArray:
    """Return inputs centred by the middle of their range, in units of half of it.

    The range is from the 1% to the 99% quantile, so that an outlier does not set the scale.
    """
    low, high = np.quantile(x, [0.01, 0.99], axis=0)
    half = np.where(high > low, (high - low) / 2, x.std(axis=0))
    return np.asarray((x - (low + high) / 2) / half)


def _first_component(unit: FloatArray) -> FloatArray:
    """Return the coordinate of each row along the first principal component.

    The sign is such that the largest weight is positive.
    """
    scaled = (unit - unit.mean(axis=0)) / unit.std(axis=0)
    direction = np.linalg.svd(scaled, full_matrices=False)[2][0]
    sign = np.sign(direction[np.abs(direction).argmax()])
    return np.asarray(scaled @ direction * sign)


def _most_correlated(unit: FloatArray, y: FloatArray) -> list[int]:
    """Return the inputs with the largest rank correlation with the targets."""
    if unit.shape[1] == 1:
        return []
    ranked = unit.argsort(axis=0).argsort(axis=0)
    targets = y.argsort(axis=0).argsort(axis=0)
    centred, wanted = ranked - ranked.mean(axis=0), targets - targets.mean(axis=0)
    strength = np.abs(centred.T @ wanted).max(axis=1)
    return [int(column) for column in np.argsort(-strength, kind="stable")[:_INPUTS]]


def _cluster_distance(unit: FloatArray, seed: int) -> FloatArray:
    """Return the distance of the mean of each row's cluster from the mean of all rows.

    Ties are broken by the distance of the row itself, which is smaller than any gap between them.
    """
    from scipy.cluster.vq import kmeans2

    count = min(_CLUSTERS, len(np.unique(unit, axis=0)))
    centres, labels = kmeans2(unit, count, minit="++", seed=np.random.default_rng(seed))
    mean = unit.mean(axis=0)
    far = np.square(centres - mean).sum(axis=1)
    order = np.argsort(np.argsort(far, kind="stable"), kind="stable")
    own = np.sqrt(np.square(unit - mean).sum(axis=1))
    return np.asarray(order[labels] + 0.5 * own / own.max())


def _distinct(distances: dict[str, FloatArray], seed: int) -> tuple[Shift, ...]:
    rng = np.random.default_rng(seed)
    # Rows at equal distances are in random order: that of a sorted table would depend on targets.
    ties = np.random.default_rng([seed, 1]).permutation(len(next(iter(distances.values()))))
    found: list[Shift] = []
    seen: set[bytes] = set()
    for name, distance in distances.items():
        order = np.lexsort((ties, distance))
        cut = round(len(order) * (1 - OUTER))
        key = np.sort(order[cut:]).tobytes()
        if key not in seen:
            seen.add(key)
            found.append(Shift(name, rng.permutation(order[:cut]), order[cut:]))
    return tuple(found)

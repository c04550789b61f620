"""From the errors of networks to the score of a function, its ratio to another, and rank agreement.

Everything is averaged as log10, so every figure reported is a geometric mean. Within an instance
the median over seeds counts; instances are averaged within their family and families equally, so
that a family of many instances does not outvote one of few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symact.protocol import BEST_ERROR, WORST_ERROR

FloatArray = NDArray[np.float64]

_COLUMNS = 4  # in distribution, then the shells near, middle and far
_LEAST_PAIRS = 3


@dataclass(frozen=True, slots=True)
class Score:
    """What the errors of one function say. Errors are log10; :func:`plain` turns them back.

    Attributes:
        ood: Mean over families of the mean over their instances of the OOD error.
        id_error: The same of the error held out in distribution.
        families: The OOD error of each family, names sorted.
        shells: The error in the shells near, middle and far. The median over seeds is taken in
            each shell by itself, so their mean need not equal ``ood``.
        instances: The OOD error of each instance, in the order given.
        diverged: The share of networks with any error that is not finite, in [0, 1].
    """

    ood: float
    id_error: float
    families: dict[str, float]
    shells: tuple[float, float, float]
    instances: tuple[float, ...]
    diverged: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio of two geometric-mean errors with its bootstrap interval; below 1 is better."""

    ratio: float
    low: float
    high: float


def plain(log10_error: float) -> float:
    """Return the error whose log10 is given; of a mean of logs, the geometric mean."""
    return float(10.0**log10_error)


def log_errors(errors: ArrayLike) -> FloatArray:
    """Return log10 of normalised errors, so that any two can be averaged.

    Args:
        errors: Of any shape; NaN and infinity count as ``WORST_ERROR``.

    Returns:
        float64 of the same shape, within log10 of ``[BEST_ERROR, WORST_ERROR]``.
    """
    values = np.asarray(errors, dtype=np.float64)
    finite = np.where(np.isfinite(values), values, WORST_ERROR)
    return np.asarray(np.log10(np.clip(finite, BEST_ERROR, WORST_ERROR)), dtype=np.float64)


def score(errors: ArrayLike, families: Sequence[str]) -> Score:
    """Aggregate the errors of one function.

    Args:
        errors: ``[instance, seed, 4]``, normalised mean squared errors.
        families: The family of each instance.
    """
    values = _checked(errors, families)
    logs = log_errors(values)
    members = _members(families)
    ood = _ood(values)
    per_shell = np.median(logs[:, :, 1:], axis=1)  # [instance, shell]
    near, middle, far = (_mean_over(members, per_shell[:, shell]) for shell in range(3))
    return Score(
        ood=_mean_over(members, ood),
        id_error=_mean_over(members, _id(values)),
        families={name: float(ood[rows].mean()) for name, rows in members.items()},
        shells=(near, middle, far),
        instances=tuple(ood.tolist()),
        diverged=float((~np.isfinite(values)).any(axis=-1).mean()),
    )


def ratio(
    errors: ArrayLike,
    reference: ArrayLike,
    families: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return the ratio of geometric-mean OOD errors to those of a reference.

    The interval is the percentile interval of a bootstrap over instances, drawn within each
    family (so a family of one instance adds no spread) and paired: a draw takes the same
    instances of both functions. It says how the ratio would vary over tasks, not over seeds.

    Args:
        errors: ``[instance, seed, 4]`` of the function.
        reference: The same instances measured with the reference; seeds may differ in number.
        families: The family of each instance.
        resamples: Bootstrap draws.
        seed: Of the draws; the same seed gives the same interval.
        level: The coverage aimed at, between 0 and 1.
    """
    differences = _ood(_checked(errors, families)) - _ood(_checked(reference, families))
    return _bootstrap(differences, families, resamples, seed, level)


def id_ratio(
    errors: ArrayLike,
    reference: ArrayLike,
    families: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return :func:`ratio` of the errors held out in distribution."""
    differences = _id(_checked(errors, families)) - _id(_checked(reference, families))
    return _bootstrap(differences, families, resamples, seed, level)


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the rank correlation of two equally long sequences; ties share their mean rank.

    Pairs with a NaN are left out; infinities rank at the ends.

    Returns:
        A value in [-1, 1], or None where fewer than 3 pairs are left or one side is constant.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    assert first.shape == second.shape and first.ndim == 1, "spearman compares paired sequences"
    known = ~(np.isnan(first) | np.isnan(second))
    if known.sum() < _LEAST_PAIRS:
        return None
    x, y = (_ranks(side[known]) for side in (first, second))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    if spread == 0.0:
        return None
    return float(np.clip((x @ y) / spread, -1.0, 1.0))


def nearby_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return for each function its mean log10 error in distribution and in the near shell.

    What a rung without training promotes by: it says little about the far shells.

    Args:
        errors: ``[function, instance, seed, 4]``.
        families: The family of each instance; families count equally.

    Returns:
        ``[function]``, low is best.
    """
    each = log_errors(errors)[:, :, :, :2].mean(axis=(2, 3))  # [function, instance]
    means = [each[:, rows].mean(axis=1) for rows in _members(families).values()]
    return np.asarray(np.mean(means, axis=0))


def _checked(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    values = np.asarray(errors, dtype=np.float64)
    assert values.ndim == 3 and values.shape[2] == _COLUMNS, (
        f"not [instance, seed, 4]: {values.shape}"
    )
    assert values.size and len(families) == len(values), "one family for each of the instances"
    return values


def _ood(errors: FloatArray) -> FloatArray:
    """Return log10 of the OOD error of each instance: mean over shells, median over seeds."""
    return np.asarray(np.median(log_errors(errors)[:, :, 1:].mean(axis=2), axis=1))


def _id(errors: FloatArray) -> FloatArray:
    return np.asarray(np.median(log_errors(errors)[:, :, 0], axis=1))


def _members(families: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each family, names sorted so that no result depends on their order."""
    names = np.asarray(families)
    return {name: np.flatnonzero(names == name) for name in sorted(set(families))}


def _mean_over(members: dict[str, NDArray[np.intp]], values: FloatArray) -> float:
    return float(np.mean([values[rows].mean() for rows in members.values()]))


def _bootstrap(
    differences: FloatArray, families: Sequence[str], resamples: int, seed: int, level: float
) -> Interval:
    assert 0.0 < level < 1.0
    assert resamples > 0
    members = _members(families)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    for rows in members.values():
        picks = rng.integers(0, len(rows), (resamples, len(rows)))
        drawn += differences[rows][picks].mean(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn / len(members), [tail, 1.0 - tail])
    return Interval(plain(_mean_over(members, differences)), plain(float(low)), plain(float(high)))


def _ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(mean_ranks[place], dtype=np.float64)

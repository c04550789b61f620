"""From the errors of networks to the score of a function, its ratio to another, and rank agreement.

Everything is averaged as log10, so every figure reported is a geometric mean. Within an instance
the median over seeds counts for each size of network, then the mean over sizes; instances are
averaged within their family and families equally, so that a family of many instances does not
outvote one of few.

Errors are ``[instance, size, seed, 4]``; where one size was trained, ``[instance, seed, 4]`` means
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symact.tasks.protocol import BEST_ERROR, RUNG_ID_LIMIT, WORST_ERROR

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
class Ranking:
    """How functions rank over the same instances; 1 is the best rank.

    Attributes:
        ranks: Mean rank of each function over instances.
        friedman: p-value of Friedman's test that all rank alike; None for fewer than 3 functions.
        pairs: Wilcoxon signed-rank p-value of each pair after Holm's correction over all pairs,
            symmetric ``[function, function]`` with 1 on the diagonal.
        cliques: Maximal runs of functions, neighbours by mean rank, of which no pair differs
            significantly; runs of one are left out.
    """

    ranks: tuple[float, ...]
    friedman: float | None
    pairs: FloatArray
    cliques: tuple[tuple[int, ...], ...]


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
    return np.asarray(np.log10(finite.clip(BEST_ERROR, WORST_ERROR)), dtype=np.float64)


def merit(ood: ArrayLike, id_error: ArrayLike) -> FloatArray:
    """Return what a search chooses by: OOD error plus what the ID error exceeds its limit by.

    Args:
        ood: Above the reference's, log10.
        id_error: The same; it may be ``RUNG_ID_LIMIT`` times the reference's.

    Returns:
        Above the reference's OOD error, log10; lower is better.
    """
    excess = np.asarray(id_error, dtype=np.float64) - np.log10(RUNG_ID_LIMIT)
    return np.asarray(np.asarray(ood, dtype=np.float64) + np.maximum(0.0, excess))


def score(errors: ArrayLike, families: Sequence[str]) -> Score:
    """Aggregate the errors of one function.

    Args:
        errors: ``[instance, size, seed, 4]``, normalised mean squared errors.
        families: The family of each instance.
    """
    values = _checked(errors, families)
    members = _members(families)
    ood, inside = _ood(values), _id(values)
    per_shell = _over_networks(log_errors(values)[..., 1:])  # [instance, shell]
    near, middle, far = (_mean_over(members, per_shell[:, shell]) for shell in range(3))
    return Score(
        ood=_mean_over(members, ood),
        id_error=_mean_over(members, inside),
        families={name: float(ood[rows].mean()) for name, rows in members.items()},
        shells=(near, middle, far),
        instances=tuple(ood.tolist()),
        diverged=float((~np.isfinite(values)).any(axis=-1).mean()),
    )


class Yardstick:
    """Measures many functions against one, instance by instance.

    Args:
        reference: Errors ``[instance, size, seed, 4]`` of that one.
        families: The family of each instance.
        clip: An instance counts as at most so many decades away from the reference.
    """

    def __init__(self, reference: ArrayLike, families: Sequence[str], clip: float) -> None:
        base = _checked(reference, families)
        self._families, self._clip = tuple(families), clip
        self._members = _members(families)
        self._ood, self._id = _ood(base), _id(base)

    def above(self, errors: ArrayLike) -> tuple[float, float, tuple[float, ...]]:
        """Return OOD error, ID error, and OOD error by family above the reference's, in log10.

        Args:
            errors: ``[instance, size, seed, 4]`` of a function on the same instances.
        """
        values = _checked(errors, self._families)
        logs = log_errors(values)
        ood = (_ood_of(logs) - self._ood).clip(-self._clip, self._clip)
        inside = (_id_of(logs) - self._id).clip(-self._clip, self._clip)
        own = tuple(_mean(ood[rows]) for rows in self._members.values())
        return _mean(np.array(own)), _mean_over(self._members, inside), own


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
        errors: ``[instance, size, seed, 4]`` of the function.
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


def ood_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return log10 of the OOD error of each instance, ``[instance]``: what functions rank by."""
    return _ood(_checked(errors, families))


def skill(errors: ArrayLike, baseline: ArrayLike, families: Sequence[str]) -> float:
    """Return the OOD skill against a baseline: 1 minus the ratio of geometric-mean errors.

    1 is perfect, 0 no better than the baseline, below 0 worse.

    Args:
        errors: ``[instance, size, seed, 4]`` of the function.
        baseline: ``[instance, 4]``, normalised as the errors are.
        families: The family of each instance.
    """
    own = _checked(errors, families)
    base = _checked(np.asarray(baseline, dtype=np.float64)[:, None, None, :], families)
    return 1.0 - plain(_mean_over(_members(families), _ood(own) - _ood(base)))


def holm(p_values: ArrayLike) -> FloatArray:
    """Return p-values adjusted by Holm's step-down procedure, each at most 1.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979). NaN (no test was possible) stays and does not count.

    Args:
        p_values: ``[test]``.
    """
    given = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = given.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


def wilcoxon(a: ArrayLike, b: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on pairs; 1 where all are equal.

    Args:
        a: ``[instance]``, such as :func:`ood_errors` returns them.
        b: The same instances of another function.
    """
    from scipy import stats as scipy_stats

    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if not differences.any():
        return 1.0
    return float(scipy_stats.wilcoxon(differences).pvalue)


def ranking(errors: ArrayLike, *, level: float = 0.05) -> Ranking:
    """Rank functions over instances and say which pairs differ.

    Mean ranks and the diagram's cliques follow J. Demsar, "Statistical comparisons of classifiers
    over multiple data sets", JMLR 7 (2006); pairs are tested by Wilcoxon's signed-rank test with
    Holm's correction instead of by mean ranks, as A. Benavoli, G. Corani and F. Mangili, "Should we
    really use post-hoc tests based on mean-ranks?", JMLR 17 (2016), advise.

    Args:
        errors: ``[function, instance]``, low is best.
        level: Pairs with a corrected p-value below it differ.
    """
    from scipy import stats as scipy_stats

    values = np.asarray(errors, dtype=np.float64)
    assert values.ndim == 2 and len(values) >= 1, "errors are [function, instance]"
    count = len(values)
    ranks = np.array([_ranks(column) for column in values.T]).mean(axis=0)
    first, second = np.triu_indices(count, 1)
    adjusted = holm([wilcoxon(values[i], values[j]) for i, j in zip(first, second, strict=True)])
    pairs = np.ones((count, count))
    pairs[first, second] = pairs[second, first] = adjusted
    friedman = None
    if count >= _LEAST_PAIRS and np.ptp(values, axis=0).any():
        friedman = float(scipy_stats.friedmanchisquare(*values).pvalue)
    return Ranking(tuple(ranks.tolist()), friedman, pairs, _cliques(ranks, pairs >= level))


def _cliques(ranks: FloatArray, alike: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and alike[order[start:end], order[end]].all():
            end += 1
        if end - start > 1 and end > reached:
            found.append(tuple(order[start:end].tolist()))
        reached = max(reached, end)
    return tuple(found)


def _checked(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim == 3:
        values = values[:, None]
    assert values.ndim == 4 and values.shape[3] == _COLUMNS, (
        f"not [instance, size, seed, 4]: {values.shape}"
    )
    assert values.size and len(families) == len(values), "one family for each of the instances"
    return values


def _over_networks(logs: FloatArray) -> FloatArray:
    """Average logs ``[instance, size, seed, ...]``: median over seeds, mean over sizes."""
    own = logs[:, :, 0] if logs.shape[2] == 1 else np.median(logs, axis=2)
    return np.asarray(own.mean(axis=1))


def _ood(errors: FloatArray) -> FloatArray:
    """Return log10 of the OOD error of each instance; within a network the mean over shells."""
    return _ood_of(log_errors(errors))


def _id(errors: FloatArray) -> FloatArray:
    return _id_of(log_errors(errors))


def _ood_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 1:].mean(axis=3))


def _id_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 0])


def _members(families: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each family, names sorted so that no result depends on their order."""
    names = np.asarray(families)
    return {name: np.flatnonzero(names == name) for name in sorted(set(families))}


def _mean_over(members: dict[str, NDArray[np.intp]], values: FloatArray) -> float:
    return _mean(np.array([_mean(values[rows]) for rows in members.values()]))


def _mean(values: FloatArray) -> float:
    """Return the mean of some numbers; numpy's own spends ten times as long around the sum."""
    return float(np.add.reduce(values)) / len(values)


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

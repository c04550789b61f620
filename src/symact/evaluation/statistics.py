"""Statistical comparison of functions: ratios with intervals, significance tests and ranks.

The compared functions need errors of the same instances. :mod:`symact.tasks.scores` aggregates the
errors of one function. The import of ``scipy.stats`` takes a second, so functions import it on use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symact.tasks.scores import (
    id_errors,
    instances_by_family,
    mean_over_families,
    ood_errors,
    plain,
)

FloatArray = NDArray[np.float64]

#: Minimum number of observations for a rank correlation, and of functions for Friedman's test.
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio of two geometric-mean errors with its bootstrap interval. Below 1 is better."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranks of functions over the same instances. 1 is the best rank.

    Attributes:
        ranks: Mean rank of each function over instances.
        friedman: p-value of Friedman's test of equal ranks; None for fewer than 3 functions.
        pairs: Wilcoxon signed-rank p-value of each pair after Holm's correction over all pairs,
            symmetric ``[function, function]`` with 1 on the diagonal.
        cliques: Maximal groups of functions that are consecutive by mean rank and have no pair with
            a significant difference. Groups of one are omitted.
    """

    ranks: tuple[float, ...]
    friedman: float | None
    pairs: FloatArray
    cliques: tuple[tuple[int, ...], ...]


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

    The interval is the percentile interval of a paired bootstrap over instances. Each resample
    takes the same instances of both functions. Resampling is stratified by family;
    ``scipy.stats.bootstrap`` has no strata. A family of one instance adds no spread. The interval
    describes the variation over tasks, not over seeds.

    Args:
        errors: ``[instance, size, seed, 4]`` of the function.
        reference: Errors of the reference on the same instances. The number of seeds may differ.
        families: The family of each instance.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling. Equal seeds give equal intervals.
        level: Nominal coverage, between 0 and 1.
    """
    differences = ood_errors(errors, families) - ood_errors(reference, families)
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
    """Return the ratio of geometric-mean ID errors; see :func:`ratio`."""
    differences = id_errors(errors, families) - id_errors(reference, families)
    return _bootstrap(differences, families, resamples, seed, level)


def skill(errors: ArrayLike, baseline: ArrayLike, families: Sequence[str]) -> float:
    """Return the OOD skill against a baseline: 1 minus the ratio of geometric-mean errors.

    1 is perfect, 0 equals the baseline, and a negative skill is worse than the baseline.

    Args:
        errors: ``[instance, size, seed, 4]`` of the function.
        baseline: ``[instance, 4]``, with the same normalisation as the errors.
        families: The family of each instance.
    """
    base = np.asarray(baseline, dtype=np.float64)[:, None, None, :]
    differences = ood_errors(errors, families) - ood_errors(base, families)
    return 1.0 - plain(mean_over_families(differences, families))


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Spearman's rank correlation of two sequences of equal length.

    Ties get their mean rank. Pairs with a NaN are omitted. Infinities have the extreme ranks.

    Returns:
        A value in [-1, 1]; None for fewer than 3 pairs or a constant sequence.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    assert first.shape == second.shape and first.ndim == 1, (
        "spearman: the sequences differ in shape"
    )
    known = ~(np.isnan(first) | np.isnan(second))
    x, y = first[known], second[known]
    if len(x) < _FEWEST or (x == x[0]).all() or (y == y[0]).all():
        return None
    return float(np.corrcoef(_mean_ranks(x), _mean_ranks(y))[0, 1])


def _mean_ranks(values: FloatArray) -> FloatArray:
    """Return the rank of each value from 1; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def holm(p_values: ArrayLike) -> FloatArray:
    """Return p-values adjusted by Holm's step-down procedure, each at most 1.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979). A NaN marks an impossible test. It stays NaN and does not count.

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
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if all pairs are equal.

    Args:
        a: Log10 errors ``[instance]`` from :func:`symact.tasks.scores.ood_errors`.
        b: Log10 errors of another function on the same instances.
    """
    from scipy import stats

    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def ranking(errors: ArrayLike, *, level: float = 0.05) -> Ranking:
    """Rank functions over instances and test all pairs.

    Mean ranks and cliques follow J. Demsar, "Statistical comparisons of classifiers over multiple
    data sets", JMLR 7 (2006). Pairs are tested by Wilcoxon's signed-rank test with Holm's
    correction. Tests based on mean ranks are not recommended: A. Benavoli, G. Corani and
    F. Mangili, "Should we really use post-hoc tests based on mean-ranks?", JMLR 17 (2016).

    Args:
        errors: ``[function, instance]``, lower is better.
        level: Significance level of the corrected p-values.
    """
    from scipy import stats

    values = np.asarray(errors, dtype=np.float64)
    assert values.ndim == 2 and len(values) >= 1, (
        "ranking: errors must have the shape [function, instance]"
    )
    count = len(values)
    ranks = stats.rankdata(values, axis=0).mean(axis=1)
    first, second = np.triu_indices(count, 1)
    adjusted = holm([wilcoxon(values[i], values[j]) for i, j in zip(first, second, strict=True)])
    pairs = np.ones((count, count))
    pairs[first, second] = pairs[second, first] = adjusted
    friedman = None
    if count >= _FEWEST and np.ptp(values, axis=0).any():
        friedman = float(stats.friedmanchisquare(*values).pvalue)
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


def _bootstrap(
    differences: FloatArray, families: Sequence[str], resamples: int, seed: int, level: float
) -> Interval:
    assert 0.0 < level < 1.0
    assert resamples > 0
    members = instances_by_family(families)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(resamples)
    for rows in members.values():
        picks = rng.integers(0, len(rows), (resamples, len(rows)))
        drawn += differences[rows][picks].mean(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn / len(members), [tail, 1.0 - tail])
    mean = mean_over_families(differences, families)
    return Interval(plain(mean), plain(float(low)), plain(float(high)))

"""Statistics of errors in cells: hierarchical bootstrap over families and cells.

A *difference* is the log10 of an error relative to the reference in the same cell,
``[family, cell]``. Families are a sample of what users have, and the cells of a family are a sample
of its instances, initialisations and architectures. A resample draws families, and then cells of
each drawn family. Resampling cells alone would describe only the families that were judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symact.evaluation.statistics import Interval, holm, spearman
from symact.tasks.protocol2 import BEST_ERROR, WORST_ERROR
from symact.tasks.scores import plain

FloatArray = NDArray[np.float64]

RESAMPLES = 4_000
_LEVEL = 0.95
#: Resamples that are drawn at a time, to bound memory.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """The statistics of one function relative to the reference.

    Attributes:
        ood: Ratio of OOD errors: geometric mean over families and their cells, with its interval.
        id: Ratio of ID errors, likewise.
        worst: Name of the family with the largest ratio.
        worst_ratio: The ratio in this family, with the interval of a bootstrap over its cells. The
            family was chosen for its ratio, so the interval is too low.
        won: Share of cells with a lower OOD error than the reference, in [0, 1].
        dominance: Share of resamples with a ratio below 1, in [0, 1].
        p: Two-sided p-value of equal errors, after Holm's correction over all functions looked at.
    """

    ood: Interval
    id: Interval
    worst: str
    worst_ratio: Interval
    won: float
    dominance: float
    p: float


def log_errors(errors: ArrayLike) -> FloatArray:
    """Return log10 of normalised errors, clipped to the limits of protocol 2.0.

    Args:
        errors: Errors of any shape. NaN and infinity become the worst error.
    """
    values = np.asarray(errors, dtype=np.float64)
    finite = np.where(np.isfinite(values), values, WORST_ERROR)
    return np.asarray(np.log10(finite.clip(BEST_ERROR, WORST_ERROR)))


def ood(errors: ArrayLike) -> FloatArray:
    """Return log10 of the OOD error, the mean over the shells, ``[..., family, cell]``.

    Args:
        errors: ``[..., family, cell, 4]``: ID, near, middle and far.
    """
    return np.asarray(log_errors(errors)[..., 1:].mean(axis=-1))


def inside(errors: ArrayLike) -> FloatArray:
    """Return log10 of the ID error, ``[..., family, cell]``; see :func:`ood`."""
    return np.asarray(log_errors(errors)[..., 0])


def mean(differences: FloatArray) -> FloatArray:
    """Return the mean over families of the mean over cells, ``[...]``.

    Args:
        differences: ``[..., family, cell]``.
    """
    return np.asarray(differences.mean(axis=(-2, -1)))


def resampled(differences: FloatArray, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Return the means of hierarchical resamples, ``[..., resample]``.

    All leading axes share the resamples, so functions are compared in pairs.

    Args:
        differences: ``[..., family, cell]``, finite.
        resamples: The number of resamples.
        seed: The seed of the resamples.
    """
    rng = np.random.default_rng(seed)
    families, cells = differences.shape[-2:]
    parts = []
    for first in range(0, resamples, _BATCH):
        count = min(_BATCH, resamples - first)
        weights = _weights(rng, count, families, cells)
        # Unlike a matrix product, this sums in an order that does not depend on threads.
        parts.append(np.einsum("...fc,rfc->...r", differences, weights))
    return np.concatenate(parts, axis=-1)


def _weights(rng: np.random.Generator, count: int, families: int, cells: int) -> FloatArray:
    """Return the weight of each cell in each resample, ``[resample, family, cell]``, sum 1."""
    drawn = rng.integers(0, families, (count, families, 1))
    picked = rng.integers(0, cells, (count, families, cells))
    places = (np.arange(count)[:, None, None] * families + drawn) * cells + picked
    times = np.bincount(places.reshape(-1), minlength=count * families * cells)
    return times.reshape(count, families, cells) / (families * cells)


def standings(
    ood_differences: FloatArray,
    id_differences: FloatArray,
    families: Sequence[str],
    *,
    looked_at: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Standing]:
    """Return the statistics of each function relative to the reference.

    Args:
        ood_differences: ``[function, family, cell]``, log10.
        id_differences: Likewise.
        families: The names of the families.
        looked_at: The number of functions looked at, for the correction of p-values; None for the
            number of functions here.
        resamples: The number of resamples.
        seed: The seed of the resamples.
    """
    count = len(ood_differences)
    drawn = resampled(ood_differences, resamples=resamples, seed=seed)
    drawn_id = resampled(id_differences, resamples=resamples, seed=seed)
    better = (drawn < 0).mean(axis=-1)
    tails = np.minimum((drawn <= 0).mean(axis=-1), (drawn >= 0).mean(axis=-1))
    raw = np.minimum(1.0, 2.0 * (tails * resamples + 1) / (resamples + 1))
    extra = max(0, (looked_at or count) - count)
    p = holm(np.concatenate([raw, np.ones(extra)]))[:count]
    found = []
    for i, own in enumerate(drawn):
        worst, worst_ratio = _worst(ood_differences[i], families, resamples, seed)
        found.append(
            Standing(
                ood=_interval(float(mean(ood_differences[i])), own),
                id=_interval(float(mean(id_differences[i])), drawn_id[i]),
                worst=worst,
                worst_ratio=worst_ratio,
                won=float((ood_differences[i] < 0).mean()),
                dominance=float(better[i]),
                p=float(p[i]),
            )
        )
    return found


def _worst(
    differences: FloatArray, families: Sequence[str], resamples: int, seed: int
) -> tuple[str, Interval]:
    """Return the family with the largest mean of ``[family, cell]``, and its ratio."""
    means = differences.mean(axis=-1)
    index = int(means.argmax())
    drawn = resampled(differences[index : index + 1], resamples=resamples, seed=seed)
    return families[index], _interval(float(means[index]), drawn)


def _interval(value: float, drawn: FloatArray) -> Interval:
    tail = (1.0 - _LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(plain(value), plain(float(low)), plain(float(high)))


@dataclass(frozen=True, slots=True)
class Agreement:
    """The rank correlation of judgements on disjoint halves.

    Attributes:
        median: Median of Spearman's correlation over splits.
        low: The 5% quantile.
        high: The 95% quantile.
    """

    median: float
    low: float
    high: float


def halves_agree(
    ood_differences: FloatArray, size: int | None = None, *, splits: int = 500, seed: int = 0
) -> Agreement:
    """Return the rank correlation of the means over two disjoint sets of families.

    Args:
        ood_differences: ``[function, family, cell]``, at least three functions.
        size: The number of families of each set; None for half of all.
        splits: The number of random splits.
        seed: The seed of the splits.
    """
    by_family = ood_differences.mean(axis=-1)
    families = by_family.shape[1]
    half = families // 2 if size is None else size
    assert 1 <= half <= families // 2, "halves_agree: the sets must be disjoint"
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        order = rng.permutation(families)
        first, second = order[:half], order[half : 2 * half]
        found.append(spearman(by_family[:, first].mean(axis=1), by_family[:, second].mean(axis=1)))
    low, median, high = np.quantile([one for one in found if one is not None], [0.05, 0.5, 0.95])
    return Agreement(float(median), float(low), float(high))


def families_needed(agreement: float, families: int, target: float = 0.9) -> float:
    """Return how many families two judgements need to agree by ``target``.

    Source: the formula of Spearman and Brown, C. Spearman, British Journal of Psychology 3 (1910).

    Args:
        agreement: The correlation of two judgements on this many families each.
        families: The number of families of each judgement.
        target: The required correlation.

    Example:
        >>> round(families_needed(0.5, 12))
        108
    """
    return families * target * (1 - agreement) / (agreement * (1 - target))

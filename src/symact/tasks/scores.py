"""Aggregate the errors of networks into the score of a function.

All means are means of log10 errors. The steps of the aggregation are:

1. the median over seeds, for each instance and network size;
2. the mean over network sizes;
3. the mean over the instances of a family;
4. the mean over families, with equal weights.

Errors have the axes ``[instance, size, seed, 4]``. The last axis has the in-distribution error and
the errors in the shells near, middle and far. The axis ``size`` may be omitted if there is only one
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symact.tasks.protocol import BEST_ERROR, SEARCH_ID_LIMIT, WORST_ERROR

FloatArray = NDArray[np.float64]

_COLUMNS = 4  # in distribution, near, middle, far


@dataclass(frozen=True, slots=True)
class Score:
    """The aggregated errors of one function, in log10. :func:`plain` inverts the logarithm.

    Attributes:
        ood: The OOD error, aggregated over instances and families.
        id_error: The held-out in-distribution error, aggregated likewise.
        families: The OOD error of each family, sorted by name.
        shells: The error in the shells near, middle and far. Each shell has its own median over
            seeds, so the mean of the shells may differ from ``ood``.
        instances: The OOD error of each instance, in the given order.
        diverged: The share of networks with an error that is not finite, in [0, 1].
    """

    ood: float
    id_error: float
    families: dict[str, float]
    shells: tuple[float, float, float]
    instances: tuple[float, ...]
    diverged: float


def plain(log10_error: float) -> float:
    """Return ``10**log10_error``. For a mean of log10 errors this is their geometric mean."""
    return float(10.0**log10_error)


def log_errors(errors: ArrayLike) -> FloatArray:
    """Return log10 of normalised errors, clipped to ``[BEST_ERROR, WORST_ERROR]``.

    Args:
        errors: Errors of any shape. NaN and infinity become ``WORST_ERROR``.

    Returns:
        A float64 array of the same shape.
    """
    values = np.asarray(errors, dtype=np.float64)
    finite = np.where(np.isfinite(values), values, WORST_ERROR)
    return np.asarray(np.log10(finite.clip(BEST_ERROR, WORST_ERROR)), dtype=np.float64)


def penalise(ood: ArrayLike, id_error: ArrayLike) -> FloatArray:
    """Return the penalised score that a search selects by.

    It is the OOD error plus the excess of the ID error over its limit.

    Args:
        ood: log10 of the OOD error relative to the reference.
        id_error: log10 of the ID error relative to the reference. The limit is
            ``log10(SEARCH_ID_LIMIT)``.

    Returns:
        The score relative to the reference, in log10. Lower is better.

    Example:
        >>> float(penalise(-0.5, -0.2))  # the ID error is below its limit
        -0.5
    """
    excess = np.asarray(id_error, dtype=np.float64) - np.log10(SEARCH_ID_LIMIT)
    return np.asarray(np.asarray(ood, dtype=np.float64) + np.maximum(0.0, excess))


def score(errors: ArrayLike, families: Sequence[str]) -> Score:
    """Aggregate the errors of one function.

    Args:
        errors: Normalised mean squared errors ``[instance, size, seed, 4]``.
        families: The family of each instance.
    """
    values = _checked(errors, families)
    members = instances_by_family(families)
    logs = log_errors(values)
    ood, inside = _ood_of(logs), _id_of(logs)
    per_shell = _over_networks(logs[..., 1:])  # [instance, shell]
    near, middle, far = (_mean_over(members, per_shell[:, shell]) for shell in range(3))
    return Score(
        ood=_mean_over(members, ood),
        id_error=_mean_over(members, inside),
        families={name: float(ood[rows].mean()) for name, rows in members.items()},
        shells=(near, middle, far),
        instances=tuple(ood.tolist()),
        diverged=float((~np.isfinite(values)).any(axis=-1).mean()),
    )


class PairedComparison:
    """Compares functions with a reference, paired by instance.

    Args:
        reference: Errors ``[instance, size, seed, 4]`` of the reference function.
        families: The family of each instance.
        clip: The largest absolute difference of log10 errors of one instance.
    """

    def __init__(self, reference: ArrayLike, families: Sequence[str], clip: float) -> None:
        base = _checked(reference, families)
        self._families, self._clip = tuple(families), clip
        self._members = instances_by_family(families)
        logs = log_errors(base)
        self._ood, self._id = _ood_of(logs), _id_of(logs)

    def above(self, errors: ArrayLike) -> tuple[float, float, tuple[float, ...]]:
        """Return the errors of a function relative to the reference, in log10.

        Args:
            errors: Errors ``[instance, size, seed, 4]`` of the function on the same instances.

        Returns:
            The OOD error, the ID error, and the OOD error of each family, sorted by name.
        """
        values = _checked(errors, self._families)
        logs = log_errors(values)
        ood = (_ood_of(logs) - self._ood).clip(-self._clip, self._clip)
        inside = (_id_of(logs) - self._id).clip(-self._clip, self._clip)
        by_family = tuple(_mean(ood[rows]) for rows in self._members.values())
        return _mean(np.array(by_family)), _mean_over(self._members, inside), by_family


def ood_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return log10 of the OOD error of each instance, ``[instance]``."""
    return _ood_of(log_errors(_checked(errors, families)))


def id_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return log10 of the held-out in-distribution error of each instance, ``[instance]``."""
    return _id_of(log_errors(_checked(errors, families)))


def instances_by_family(families: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the indices of the instances of each family, sorted by the name of the family."""
    names = np.asarray(families)
    return {name: np.flatnonzero(names == name) for name in sorted(set(families))}


def mean_over_families(values: FloatArray, families: Sequence[str]) -> float:
    """Return the mean over families of the mean over their instances.

    Args:
        values: ``[instance]``.
        families: The family of each instance.
    """
    return _mean_over(instances_by_family(families), values)


def _checked(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim == 3:
        values = values[:, None]
    assert values.ndim == 4 and values.shape[3] == _COLUMNS, (
        f"expected [instance, size, seed, 4], got {values.shape}"
    )
    assert values.size and len(families) == len(values), "expected one family for each instance"
    return values


def _over_networks(logs: FloatArray) -> FloatArray:
    """Average logs ``[instance, size, seed, ...]``: median over seeds, mean over sizes."""
    medians = logs[:, :, 0] if logs.shape[2] == 1 else np.median(logs, axis=2)
    return np.asarray(medians.mean(axis=1))


def _ood_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 1:].mean(axis=3))


def _id_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 0])


def _mean_over(members: dict[str, NDArray[np.intp]], values: FloatArray) -> float:
    return _mean(np.array([_mean(values[rows]) for rows in members.values()]))


def _mean(values: FloatArray) -> float:
    """Return the mean of a few numbers, ten times as fast as ``np.mean``."""
    return float(np.add.reduce(values)) / len(values)

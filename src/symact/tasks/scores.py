"""Aggregate the errors of networks into the score of a function.

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


@dataclass(frozen=True, slots=True)
class Score:
    """The aggregated errors of one function, in log10; :func:`plain` undoes the logarithm.

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


def penalise(ood: ArrayLike, id_error: ArrayLike) -> FloatArray:
    """Return the penalised score that a search selects by.

    It is the OOD error plus the excess of the ID error over its limit.

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
    """Compares many functions with a reference, instance by instance.

    Args:
        reference: Errors ``[instance, size, seed, 4]`` of the reference.
        families: The family of each instance.
        clip: An instance counts as at most so many decades away from the reference.
    """

    def __init__(self, reference: ArrayLike, families: Sequence[str], clip: float) -> None:
        base = _checked(reference, families)
        self._families, self._clip = tuple(families), clip
        self._members = instances_by_family(families)
        logs = log_errors(base)
        self._ood, self._id = _ood_of(logs), _id_of(logs)

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


def ood_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return log10 of the OOD error of each instance, ``[instance]``: what functions rank by."""
    return _ood_of(log_errors(_checked(errors, families)))


def id_errors(errors: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Return log10 of the held-out in-distribution error of each instance, ``[instance]``."""
    return _id_of(log_errors(_checked(errors, families)))


def instances_by_family(families: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each family's instances, families sorted by name."""
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
        f"not [instance, size, seed, 4]: {values.shape}"
    )
    assert values.size and len(families) == len(values), "one family for each of the instances"
    return values


def _over_networks(logs: FloatArray) -> FloatArray:
    """Average logs ``[instance, size, seed, ...]``: median over seeds, mean over sizes."""
    own = logs[:, :, 0] if logs.shape[2] == 1 else np.median(logs, axis=2)
    return np.asarray(own.mean(axis=1))


def _ood_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 1:].mean(axis=3))


def _id_of(logs: FloatArray) -> FloatArray:
    return _over_networks(logs[..., 0])


def _mean_over(members: dict[str, NDArray[np.intp]], values: FloatArray) -> float:
    return _mean(np.array([_mean(values[rows]) for rows in members.values()]))


def _mean(values: FloatArray) -> float:
    """Return the mean of a few numbers; ``np.mean`` takes ten times as long."""
    return float(np.add.reduce(values)) / len(values)

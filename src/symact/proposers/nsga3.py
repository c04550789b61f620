"""NSGA-III selection that draws from a generator of the caller.

DEAP's ``selNSGA3`` shuffles with numpy's global stream. DEAP still computes the fronts, the
normalisation and the niches. The choice within niches is the same algorithm with an own stream.

Source: K. Deb and H. Jain, IEEE Trans. Evol. Comput. 18 (2014), 577-601.
"""

from __future__ import annotations

import random
from itertools import chain
from typing import Any

import numpy as np
from deap.tools import emo
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Divisions of each objective between the reference points.
_DIVISIONS = 6
_REFERENCE_POINTS = emo.uniform_reference_points(nobj=3, p=_DIVISIONS)


def select_by_nsga3(pool: list[Any], count: int, rng: random.Random) -> list[Any]:
    """Return ``count`` individuals of a larger pool.

    Args:
        pool: Individuals with DEAP fitnesses of three objectives and weights -1.
        count: Number of individuals to keep.
        rng: Source of the random numbers.
    """
    # The legacy generator makes the same shuffles as numpy's global stream of that seed.
    stream = np.random.RandomState(rng.getrandbits(32))
    fronts = emo.sortNondominated(pool, count)
    values = np.array([one.fitness.values for one in chain(*fronts)])
    niches, distances = _niches(values)
    chosen = list(chain(*fronts[:-1]))
    counts = np.bincount(niches[: len(chosen)], minlength=len(_REFERENCE_POINTS))
    last = _fill_niches(
        niches[len(chosen) :], distances[len(chosen) :], counts, count - len(chosen), stream
    )
    return chosen + [fronts[-1][index] for index in last]


def _niches(values: Floats) -> tuple[Ints, Floats]:
    """Return the nearest reference line of each individual, and the distance to it.

    Args:
        values: Objectives, [individual, objective].
    """
    best, worst = values.min(axis=0), values.max(axis=0)
    extremes = emo.find_extreme_points(values, best, None)
    intercepts = emo.find_intercepts(extremes, best, worst, worst)
    niches, distances = emo.associate_to_niche(values, _REFERENCE_POINTS, best, intercepts)
    return niches, distances


def _fill_niches(
    niches: Ints, distances: Floats, counts: Ints, missing: int, stream: np.random.RandomState
) -> list[int]:
    """Return the indices of the last front that fill the emptiest niches.

    Args:
        niches: Niche of each individual of the last front.
        distances: Distance of each of them to its reference line.
        counts: Number of chosen individuals of each niche. It is updated.
        missing: How many individuals to choose.
        stream: Source of the shuffles.
    """
    chosen: list[int] = []
    is_free = np.ones(len(niches), dtype=bool)
    while len(chosen) < missing:
        is_open = np.zeros(len(counts), dtype=bool)
        is_open[niches[is_free]] = True
        emptiest = np.flatnonzero(is_open & (counts == counts[is_open].min()))
        stream.shuffle(emptiest)
        for niche in emptiest[: missing - len(chosen)]:
            members = np.flatnonzero((niches == niche) & is_free)
            stream.shuffle(members)
            is_first = counts[niche] == 0
            index = members[distances[members].argmin()] if is_first else members[0]
            is_free[index] = False
            counts[niche] += 1
            chosen.append(int(index))
    return chosen

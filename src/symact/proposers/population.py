"""Individuals, and the selection of parents and survivors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, tools
from numpy.typing import NDArray

from symact.backends import evaluate
from symact.backends.sampling import NOVELTY
from symact.evaluation.behaviour import kind
from symact.evaluation.pareto import pareto_ranks
from symact.expr import Expr, parse, show
from symact.proposers.base import EvaluatedProposal, Objectives
from symact.proposers.evolution import Evolution
from symact.proposers.nsga3 import select_by_nsga3
from symact.proposers.trees import Tree, Trees

#: Share of parents from tournaments on the error alone; the others are chosen by dominance.
ERROR_SHARE = 0.6
#: Weight of the ID error relative to the OOD error if no ranking error is known.
ID_WEIGHT = 0.25
#: Share of the survivors chosen by the error alone, before other objectives count.
ELITE_SHARE = 0.3
#: Number of neighbours for novelty.
NEIGHBOURS = 5
#: Lexicase selection keeps one of so many survivors for diversity.
_DIVERSE_DIVISOR = 4

ERROR = attrgetter("error")


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0, -1.0)


class Individual:
    """An expression with its fitness. Its tree and its formula are made at the first use.

    The tree is derived from the expression. Its positions therefore require the widest types that
    the grammar finds, and a restored individual has the same children.

    Attributes:
        expr: The expression.
        fitness: (OOD error, ID error, FLOPs), all minimised.
        error: The error that ranks individuals, in log10.
        cases: Errors of the task families and the ID error, for lexicase selection.
        born: Number of evaluated candidates when the oldest ancestor was made.
        inputs: Names of the inputs of the expression.
    """

    def __init__(
        self,
        expr: Expr,
        objectives: Objectives,
        error: float | None = None,
        cases: Sequence[float] = (),
        born: int = 0,
        inputs: tuple[str, ...] = ("x",),
    ) -> None:
        self.expr = expr
        self.fitness = _Fitness(objectives)
        self.error = objectives[0] + ID_WEIGHT * objectives[1] if error is None else error
        self.cases = tuple(cases) or objectives[:2]
        self.born, self.inputs = born, inputs
        self._tree: Tree | None = None

    @classmethod
    def of(
        cls, result: EvaluatedProposal, born: int, inputs: tuple[str, ...] = ("x",)
    ) -> Individual:
        assert result.objectives is not None
        cases = (*result.cases, result.objectives[1]) if result.cases else ()
        return cls(result.expr, result.objectives, result.error, cases, born, inputs)

    @cached_property
    def formula(self) -> str:
        return show(self.expr)

    def tree(self, trees: Trees) -> Tree:
        if self._tree is None:
            self._tree = trees.from_expr(self.expr)
            assert self._tree is not None
        return self._tree

    @cached_property
    def behaviour(self) -> str:
        """The key of its behaviour in the archive."""
        return kind(self.expr, inputs=self.inputs)

    @cached_property
    def signature(self) -> NDArray[np.float64]:
        """Centred values [point] of unit norm, rising with the first input, for novelty."""
        points = NOVELTY.points(len(self.inputs))
        with np.errstate(all="ignore"):
            values = evaluate(self.expr, *points, inputs=self.inputs)
            values = np.nan_to_num(values, posinf=1e6, neginf=-1e6)
            values = values - values.mean()
            size = float(np.linalg.norm(values)) or 1.0
            slope = float(values @ points[0])
        scaled: NDArray[np.float64] = values / (size if slope >= 0 else -size)
        return scaled

    def revalue(self, ood: float, id_error: float, error: float) -> None:
        """Replace the errors by estimates. The cases stay as measured."""
        self.fitness = _Fitness((ood, id_error, self.fitness.values[2]))
        self.error = error

    def dump(self) -> list[Any]:
        """Return JSON values from which :meth:`load` makes an equal individual."""
        values = list(self.fitness.values)
        return [self.formula, values, self.error, list(self.cases), self.born]

    @classmethod
    def load(cls, stored: Sequence[Any], inputs: tuple[str, ...] = ("x",)) -> Individual:
        formula, values, error, cases, born = stored
        expr = parse(formula, inputs)
        return cls(expr, tuple(values), error, tuple(cases), born, inputs)


def parent_by_tournament(population: Sequence[Individual], rng: random.Random) -> Individual:
    """Draw a parent by a tournament.

    Args:
        population: Individuals sorted by error, so a lower index wins.
        rng: Source of the random numbers.
    """
    count, draw = len(population), rng.random
    first, second = int(draw() * count), int(draw() * count)
    if draw() < ERROR_SHARE:
        return population[min(first, second, int(draw() * count))]
    one, other = population[first], population[second]
    return other if other.fitness.dominates(one.fitness) else one


def parent_by_lexicase(population: Sequence[Individual], rng: random.Random) -> Individual:
    """Draw a parent by epsilon-lexicase selection over the cases.

    Cases come in random order. Each keeps the individuals within one median absolute deviation of
    the best: W. La Cava, L. Spector and K. Danai, "Epsilon-lexicase selection for regression",
    GECCO 2016, with epsilon of the whole population.
    """
    cases = np.array([individual.cases for individual in population])
    spread = np.median(np.abs(cases - np.median(cases, axis=0)), axis=0)
    left = np.arange(len(population))
    order = list(range(cases.shape[1]))
    rng.shuffle(order)
    for case in order:
        values = cases[left, case]
        left = left[values <= values.min() + spread[case]]
        if len(left) == 1:
            break
    return population[int(left[int(rng.random() * len(left))])]


PARENTS: dict[str, Callable[[Sequence[Individual], random.Random], Individual]] = {
    "nsga2": parent_by_tournament,
    "nsga3": parent_by_tournament,
    "lexicase": parent_by_lexicase,
}


def select(
    pool: list[Individual], count: int, settings: Evolution, rng: random.Random
) -> list[Individual]:
    """Return the survivors sorted by error: an elite, then the choice of ``settings.selection``.

    Args:
        pool: All individuals.
        count: Number of survivors, at most.
        settings: The method of selection and the additional objective.
        rng: Source of the random numbers.
    """
    pool = sorted(pool, key=ERROR)
    if len(pool) <= count:
        return pool
    elite = max(1, round(ELITE_SHARE * count))
    survive = _SURVIVAL[settings.selection]
    rest = survive(pool[elite:], count - elite, settings.diversity, rng)
    return sorted([*pool[:elite], *rest], key=ERROR)


def _by_nsga2(
    pool: list[Individual], count: int, diversity: str, rng: random.Random
) -> list[Individual]:
    return survivors(pool, count, _DIVERSITY[diversity](pool))


def _by_nsga3(
    pool: list[Individual], count: int, diversity: str, rng: random.Random
) -> list[Individual]:
    """Return the choice of NSGA-III, with an additional objective from the better half only."""
    extra = _DIVERSITY[diversity](pool)
    if extra is not None:
        pool = survivors(pool, max(count, (len(pool) + count) // 2), extra)
    return pool if len(pool) <= count else select_by_nsga3(pool, count, rng)


def _by_lexicase(
    pool: list[Individual], count: int, diversity: str, rng: random.Random
) -> list[Individual]:
    """Return the choice of lexicase selection without replacement, a part of it for diversity."""
    extra = _DIVERSITY[diversity](pool)
    chosen: list[Individual] = []
    if extra is not None:
        order = np.argsort(extra, kind="stable")[: count // _DIVERSE_DIVISOR]
        chosen = [pool[int(i)] for i in order]
    left = [individual for individual in pool if individual not in chosen]
    while len(chosen) < count:
        chosen.append(parent_by_lexicase(left, rng))
        left.remove(chosen[-1])
    return chosen


_SURVIVAL = {"nsga2": _by_nsga2, "nsga3": _by_nsga3, "lexicase": _by_lexicase}


def _age(pool: Sequence[Individual]) -> NDArray[np.float64]:
    """Return ages [individual], lower is better. A late birth is a low age."""
    return -np.array([float(individual.born) for individual in pool])


def _crowdedness(pool: Sequence[Individual]) -> NDArray[np.float64]:
    """Return the negative novelty [individual]: the mean distance of the nearest neighbours."""
    values = np.stack([individual.signature for individual in pool])
    distances = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * values @ values.T))
    nearest = np.sort(distances, axis=1)[:, 1 : NEIGHBOURS + 1]
    novelty: NDArray[np.float64] = nearest.mean(axis=1) if nearest.size else np.zeros(len(pool))
    return -novelty


_DIVERSITY: dict[str, Callable[[Sequence[Individual]], NDArray[np.float64] | None]] = {
    "age": _age,
    "novelty": _crowdedness,
    "none": lambda pool: None,
}


def survivors(pool: list[Any], count: int, extra: NDArray[np.float64] | None = None) -> list[Any]:
    """Select by non-dominated front, and in the last front by crowding distance (NSGA-II).

    The result equals that of DEAP's ``selNSGA2``, which sorts in Python and computes the distances
    of every front. Individuals of equal fitness are in one front.

    Args:
        pool: Individuals with DEAP fitnesses of weights -1.
        count: Number of survivors, at most the size of the pool.
        extra: An additional objective [individual], minimised. It does not count for crowding.
    """
    if not count:
        return []
    values = np.array([individual.fitness.values for individual in pool])
    if extra is not None:
        values = np.column_stack([values, extra])
    ranks = pareto_ranks(values)
    order = np.argsort(ranks, kind="stable")
    last = ranks[order[count - 1]]
    chosen = [pool[i] for i in order if ranks[i] < last]
    front = [pool[i] for i in order if ranks[i] == last]
    if len(chosen) + len(front) > count:
        tools.emo.assignCrowdingDist(front)
        front.sort(key=lambda individual: individual.fitness.crowding_dist, reverse=True)
    return chosen + front[: count - len(chosen)]

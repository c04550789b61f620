"""Individuals, who of them survives, and who has children."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, tools
from moocore import pareto_rank
from numpy.typing import NDArray

from symact.backends import evaluate
from symact.backends.sampling import NOVELTY
from symact.evaluation.behaviour import kind
from symact.expr import Expr, parse, show
from symact.proposers.base import Objectives, Told
from symact.proposers.evolution import Evolution
from symact.proposers.trees import Tree, Trees

#: Share of the parents drawn by tournament on the error alone; the rest by dominance.
ERROR_SHARE = 0.6
#: What a decade of ID error weighs against one of OOD error where nobody says what counts.
ID_WEIGHT = 0.25
#: Share of the survivors kept for their error alone, before other objectives have a say.
ELITE_SHARE = 0.3
#: Neighbours that novelty is measured to, and where values are compared.
NEIGHBOURS = 5
_GRID = NOVELTY.line
#: Reference points of NSGA-III: divisions along each objective.
_DIVISIONS = 6

ERROR = attrgetter("error")


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0, -1.0)


class Individual:
    """An expression with its fitness; its tree and its formula are made when it first has a child.

    Its tree is derived anew from the expression. Thus places ask for the widest types that the
    grammar finds, and what was restored from formulas has the same children.

    Attributes:
        expr: What it is.
        fitness: (OOD, ID, FLOPs), all minimised.
        error: What it is chosen by where one number counts.
        cases: Errors of the task families and the ID error, for lexicase.
        born: The count of candidates told when its oldest ancestor was random.
    """

    def __init__(
        self,
        expr: Expr,
        objectives: Objectives,
        error: float | None = None,
        cases: Sequence[float] = (),
        born: int = 0,
    ) -> None:
        self.expr = expr
        self.fitness = _Fitness(objectives)
        self.error = objectives[0] + ID_WEIGHT * objectives[1] if error is None else error
        self.cases = tuple(cases) or objectives[:2]
        self.born = born
        self._tree: Tree | None = None

    @classmethod
    def of(cls, told: Told, born: int) -> Individual:
        assert told.objectives is not None
        cases = (*told.cases, told.objectives[1]) if told.cases else ()
        return cls(told.expr, told.objectives, told.error, cases, born)

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
        """The key of its behaviour; functions of batch statistics are a kind of their own."""
        return kind(self.expr)

    @cached_property
    def signature(self) -> NDArray[np.float64]:
        """Values about 0, scaled to unit length and a positive slope: what novelty compares."""
        with np.errstate(all="ignore"):
            values = np.nan_to_num(evaluate(self.expr, _GRID), posinf=1e6, neginf=-1e6)
        values = values - values.mean()
        size = float(np.linalg.norm(values)) or 1.0
        scaled: NDArray[np.float64] = values / (size if float(values @ _GRID) >= 0 else -size)
        return scaled

    def revalue(self, ood: float, id_error: float, error: float) -> None:
        """Take better estimates of the errors; cases stay as measured."""
        self.fitness = _Fitness((ood, id_error, self.fitness.values[2]))
        self.error = error

    def dump(self) -> list[Any]:
        """Return JSON values that :meth:`load` makes an equal individual from."""
        values = list(self.fitness.values)
        return [self.formula, values, self.error, list(self.cases), self.born]

    @classmethod
    def load(cls, stored: Sequence[Any]) -> Individual:
        formula, values, error, cases, born = stored
        return cls(parse(formula), tuple(values), error, tuple(cases), born)


def parent_by_tournament(population: Sequence[Individual]) -> Individual:
    """Draw a parent; the population is sorted by error, so that a lower place wins."""
    count, draw = len(population), random.random
    first, second = int(draw() * count), int(draw() * count)
    if draw() < ERROR_SHARE:
        return population[min(first, second, int(draw() * count))]
    one, other = population[first], population[second]
    return other if other.fitness.dominates(one.fitness) else one


def parent_by_lexicase(population: Sequence[Individual]) -> Individual:
    """Draw a parent by epsilon-lexicase over its cases.

    Cases come in random order; each keeps those within a median absolute deviation of the best
    (W. La Cava, L. Spector and K. Danai, "Epsilon-lexicase selection for regression", GECCO 2016,
    with epsilon over the whole population).
    """
    cases = np.array([individual.cases for individual in population])
    spread = np.median(np.abs(cases - np.median(cases, axis=0)), axis=0)
    left = np.arange(len(population))
    order = list(range(cases.shape[1]))
    random.shuffle(order)
    for case in order:
        values = cases[left, case]
        left = left[values <= values.min() + spread[case]]
        if len(left) == 1:
            break
    return population[int(left[int(random.random() * len(left))])]


PARENTS: dict[str, Callable[[Sequence[Individual]], Individual]] = {
    "nsga2": parent_by_tournament,
    "nsga3": parent_by_tournament,
    "lexicase": parent_by_lexicase,
}


def select(pool: list[Individual], count: int, settings: Evolution) -> list[Individual]:
    """Return who survives, sorted by error: some for their error, others by the settings."""
    pool = sorted(pool, key=ERROR)
    if len(pool) <= count:
        return pool
    elite = max(1, round(ELITE_SHARE * count))
    rest = _SURVIVAL[settings.selection](pool[elite:], count - elite, settings.diversity)
    return sorted([*pool[:elite], *rest], key=ERROR)


def _by_nsga2(pool: list[Individual], count: int, diversity: str) -> list[Individual]:
    return survivors(pool, count, _DIVERSITY[diversity](pool))


def _by_nsga3(pool: list[Individual], count: int, diversity: str) -> list[Individual]:
    """Return the choice of DEAP's NSGA-III; with a further objective, of its first fronts."""
    points = tools.uniform_reference_points(nobj=3, p=_DIVISIONS)
    extra = _DIVERSITY[diversity](pool)
    if extra is not None:  # the diverse half may compete, whatever their place by dominance
        pool = survivors(pool, max(count, (len(pool) + count) // 2), extra)
    if len(pool) <= count:
        return pool
    state = np.random.get_state()  # noqa: NPY002  # DEAP draws from numpy's global stream
    np.random.seed(random.getrandbits(32))  # noqa: NPY002
    try:
        chosen: list[Individual] = tools.selNSGA3(pool, count, points, nd="standard")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return chosen


def _by_lexicase(pool: list[Individual], count: int, diversity: str) -> list[Individual]:
    """Return as many as asked by lexicase without replacement, some of them for diversity."""
    extra = _DIVERSITY[diversity](pool)
    chosen: list[Individual] = []
    if extra is not None:
        order = np.argsort(extra, kind="stable")[: count // 4]
        chosen = [pool[int(i)] for i in order]
    left = [individual for individual in pool if individual not in chosen]
    while len(chosen) < count:
        chosen.append(parent_by_lexicase(left))
        left.remove(chosen[-1])
    return chosen


_SURVIVAL = {"nsga2": _by_nsga2, "nsga3": _by_nsga3, "lexicase": _by_lexicase}


def _age(pool: Sequence[Individual]) -> NDArray[np.float64]:
    """Return ages, low is best: late birth."""
    return -np.array([float(individual.born) for individual in pool])


def _crowdedness(pool: Sequence[Individual]) -> NDArray[np.float64]:
    """Return how near the nearest neighbours are, low is best: novelty with its sign changed."""
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
    """Select as NSGA-II does: by non-dominated front, in the last front by crowding distance.

    The same as DEAP's ``selNSGA2``, which sorts in Python and computes distances of every front:
    that takes as long as all variation. Individuals of equal fitness are in one front.

    Args:
        pool: Individuals with DEAP fitnesses, weights -1.
        count: How many to keep, at most as many as there are.
        extra: A further objective [individual], minimised; it has no part in crowding.
    """
    if not count:
        return []
    values = np.array([individual.fitness.values for individual in pool])
    if extra is not None:
        values = np.column_stack([values, extra])
    ranks = pareto_rank(values)
    order = np.argsort(ranks, kind="stable")
    last = ranks[order[count - 1]]
    chosen = [pool[i] for i in order if ranks[i] < last]
    front = [pool[i] for i in order if ranks[i] == last]
    if len(chosen) + len(front) > count:
        tools.emo.assignCrowdingDist(front)
        front.sort(key=lambda individual: individual.fitness.crowding_dist, reverse=True)
    return chosen + front[: count - len(chosen)]

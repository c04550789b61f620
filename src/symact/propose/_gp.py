"""Typed genetic programming on DEAP: its primitive sets, its mutations, its selection.

Four things differ. Crossover chooses among ordered places, because DEAP's own draws a type from a
set of classes and is not reproducible (DEAP issue 190); and it may put a subtree of a subtype where
its supertype is asked for. A new branch grows with the type its place asks for. And what DEAP takes
from the global ``random`` module it takes from this proposer's stream, which is swapped in for the
time of a call. And fronts are ranked by moocore, which DEAP depends on, in C.
"""

from __future__ import annotations

import gc
import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, gp, tools
from moocore import pareto_rank

from symact.errors import GrammarError
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.propose._base import AbstractProposer, Objectives, Proposal, Told
from symact.propose._trees import Tree, Trees, rounded

#: What makes a child, with its share; crossover is followed by a mutation a third of the time.
VARIATION = {
    "crossover": 0.35,
    "uniform": 0.2,
    "constants": 0.15,
    "replacement": 0.1,
    "insert": 0.07,
    "shrink": 0.08,
    "random": 0.05,
}
MUTATIONS = ("uniform", "constants", "replacement", "insert", "shrink")

#: Share of the parents drawn by tournament on the errors alone; the rest by dominance.
ERROR_SHARE = 0.6
#: What a decade of ID error weighs against one of OOD error in that tournament.
ID_WEIGHT = 0.25
#: Share of the survivors kept for their errors alone, before cost has a say.
ELITE_SHARE = 0.3
TRIES = 40

_KINDS = tuple(VARIATION)
_SHARES = tuple(accumulate(VARIATION.values()))
_ERROR = attrgetter("error")


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0, -1.0)


class _Individual:
    """An expression with its fitness; its tree and its formula are made when it first has a child.

    Its tree is derived anew from the expression. Thus places ask for the widest types that the
    grammar finds, and what was restored from formulas has the same children.
    """

    __slots__ = ("_formula", "_tree", "error", "expr", "fitness")

    def __init__(self, expr: Expr, objectives: Objectives) -> None:
        self.expr = expr
        self.fitness = _Fitness(objectives)
        self.error = objectives[0] + ID_WEIGHT * objectives[1]
        self._tree: Tree | None = None
        self._formula = ""

    @property
    def formula(self) -> str:
        self._formula = self._formula or show(self.expr)
        return self._formula

    def tree(self, trees: Trees) -> Tree:
        if self._tree is None:
            self._tree = trees.from_expr(self.expr)
            assert self._tree is not None
        return self._tree


class _Stream:
    """A stream of random numbers that can stand in for the global one."""

    def __init__(self, seed: int) -> None:
        self._state = random.Random(seed).getstate()

    @contextmanager
    def active(self) -> Iterator[None]:
        outer = random.getstate()
        random.setstate(self._state)
        collects = gc.isenabled()
        gc.disable()  # nothing here makes cycles, and it would walk through all trees many times
        try:
            yield
        finally:
            if collects:
                gc.enable()
            self._state = random.getstate()
            random.setstate(outer)

    def dump(self) -> list[Any]:
        version, numbers, gauss = self._state
        return [version, list(numbers), gauss]

    def load(self, stored: Sequence[Any]) -> None:
        self._state = (stored[0], tuple(stored[1]), stored[2])


class RandomProposer(AbstractProposer):
    """Independent random sentences; learns nothing."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._trees = Trees(grammar)
        self._stream = _Stream(seed)

    def ask(self, count: int) -> list[Proposal]:
        with self._stream.active():
            return [Proposal(sentence(self._trees), "random") for _ in range(count)]

    def tell(self, results: Sequence[Told]) -> None:
        """Take no notice."""

    def state(self) -> dict[str, Any]:
        return {"random": self._stream.dump()}

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.load(state["random"])


class GeneticProposer(AbstractProposer):
    """Evolves a population under three objectives."""

    def __init__(
        self, grammar: Grammar, seed: int, population: int, seeds: tuple[Expr, ...]
    ) -> None:
        self._trees = Trees(grammar)
        self._stream = _Stream(seed)
        self._size = population
        self._seeds = [expr for expr in seeds if grammar.derive(expr) is not None]
        self._population: list[_Individual] = []
        self._asked: set[Expr] = set()

    def ask(self, count: int) -> list[Proposal]:
        with self._stream.active():
            proposals = [Proposal(expr, "seed") for expr in self._seeds[:count]]
            self._seeds = self._seeds[count:]
            known = {individual.expr for individual in self._population}
            known.update(proposal.expr for proposal in proposals)
            while len(proposals) < count:
                proposal = self._fresh(known)
                known.add(proposal.expr)
                proposals.append(proposal)
            self._asked = known
            return proposals

    def _fresh(self, known: set[Expr]) -> Proposal:
        """Return a proposal that is not known yet; after many tries, a known one."""
        for _ in range(TRIES):
            proposal = self._child() if self._population else self._random()
            if proposal.expr not in known:
                break
        return proposal

    def _random(self) -> Proposal:
        return Proposal(sentence(self._trees), "random")

    def _parent(self) -> _Individual:
        """Draw a parent; the population is sorted by error, so that a lower place wins."""
        population, draw = self._population, random.random
        count = len(population)
        first, second = int(draw() * count), int(draw() * count)
        if draw() < ERROR_SHARE:
            return population[min(first, second, int(draw() * count))]
        one, other = population[first], population[second]
        return other if other.fitness.dominates(one.fitness) else one

    def _child(self) -> Proposal:
        """Make a child that is within the limits; after many tries, a random sentence."""
        for _ in range(TRIES):
            kind = _KINDS[bisect(_SHARES, random.random() * _SHARES[-1], 0, len(_KINDS) - 1)]
            if kind == "random":
                break
            parent = self._parent()
            tree, parents = parent.tree(self._trees).copy(), [parent]
            if kind == "crossover":
                other = self._parent()
                parents.append(other)
                self._cross(tree, other.tree(self._trees))
                if random.random() < 1 / 3:
                    self._mutate(tree, random.choice(MUTATIONS))
            else:
                self._mutate(tree, kind)
            made = tree.parts[0]
            if made.expr != parent.expr and self._trees.fits(made):
                return Proposal(made.expr, kind, tuple([p.formula for p in parents]))
        return self._random()

    def _cross(self, tree: Tree, other: Tree) -> None:
        """Put a branch of ``other`` where the tree asks for its type or a supertype."""
        for _ in range(TRIES):
            place = random.randrange(len(tree))
            below = self._trees.below[tree.asked(place)]
            fitting = [i for i, node in enumerate(other) if node.ret in below]
            inner = [i for i in fitting if other.parts[i].span > 1]
            pool = inner if inner and random.random() < 0.9 else fitting
            if pool:
                donor = other.searchSubtree(random.choice(pool))
                tree.put(place, other[donor], other.parts[donor])
                return

    def _mutate(self, tree: Tree, kind: str) -> None:
        """Change a tree in place; one that the mutation does not apply to stays."""
        try:
            if kind == "uniform":
                self._replace_branch(tree)
            elif kind == "replacement":
                gp.mutNodeReplacement(tree, self._trees.pset)
            elif kind == "insert":
                gp.mutInsert(tree, self._trees.pset)
            elif kind == "shrink":
                gp.mutShrink(tree)
            else:
                self._perturb(tree)
        except IndexError:
            # DEAP found no terminal of a type that only primitives produce; nothing was changed.
            return

    def _replace_branch(self, tree: Tree) -> None:
        """Grow a new branch of the type that a random place asks for.

        DEAP's ``mutUniform`` asks for the type the old branch had, so that below a gate only gates
        could ever grow.
        """
        place = random.randrange(len(tree))
        branch = self._trees.grow(random.randint(1, 4), tree.asked(place))
        tree.put(place, branch, self._trees.parts(branch))

    def _perturb(self, tree: Tree) -> None:
        """Scale one literal a little, or draw it anew; without literals, grow a branch."""
        places = [i for i, node in enumerate(tree) if isinstance(type(node), gp.MetaEphemeral)]
        spec = self._trees.grammar.constants
        if not places or spec is None:
            self._replace_branch(tree)
            return
        place = random.choice(places)
        new = type(tree[place])()
        if spec.distribution != "choice" and random.random() < 0.8:
            scaled = tree[place].value * math.exp(random.gauss(0.0, 0.4))
            new.value = rounded(scaled, spec.digits) or new.value
        tree[place] = new

    def tell(self, results: Sequence[Told]) -> None:
        with self._stream.active():
            pool = list(self._population)
            known = {individual.expr for individual in pool}
            for told in results:
                usable = told.objectives is not None and all(map(math.isfinite, told.objectives))
                if usable and told.objectives is not None and told.expr not in known:
                    known.add(told.expr)
                    if told.expr in self._asked or self._trees.grammar.derive(told.expr):
                        pool.append(_Individual(told.expr, told.objectives))
            self._population = self._survivors(pool)
            self._asked = set()

    def _survivors(self, pool: list[_Individual]) -> list[_Individual]:
        """Keep some for their errors, the others by non-dominated sorting and crowding.

        They are sorted by error.
        """
        pool.sort(key=_ERROR)
        if len(pool) > self._size:
            elite = round(ELITE_SHARE * self._size)
            pool = pool[:elite] + sorted(survivors(pool[elite:], self._size - elite), key=_ERROR)
        return pool

    def state(self) -> dict[str, Any]:
        return {
            "random": self._stream.dump(),
            "seeds": [show(expr) for expr in self._seeds],
            "population": [[i.formula, list(i.fitness.values)] for i in self._population],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.load(state["random"])
        self._seeds = [parse(text) for text in state["seeds"]]
        self._asked = set()
        self._population = []
        for text, (ood, id_error, cost) in state["population"]:
            expr = parse(text)
            if self._trees.grammar.derive(expr) is not None:
                self._population.append(_Individual(expr, (ood, id_error, cost)))
        self._population.sort(key=_ERROR)


def survivors(pool: list[Any], count: int) -> list[Any]:
    """Select as NSGA-II does: by non-dominated front, in the last front by crowding distance.

    The same as DEAP's ``selNSGA2``, which sorts in Python and computes distances of every front:
    that takes as long as all variation. Individuals of equal fitness are in one front.

    Args:
        pool: Individuals with DEAP fitnesses, weights -1.
        count: How many to keep, at most as many as there are.
    """
    if not count:
        return []
    ranks = pareto_rank(np.array([individual.fitness.values for individual in pool]))
    order = np.argsort(ranks, kind="stable")
    last = ranks[order[count - 1]]
    chosen = [pool[i] for i in order if ranks[i] < last]
    front = [pool[i] for i in order if ranks[i] == last]
    if len(chosen) + len(front) > count:
        tools.emo.assignCrowdingDist(front)
        front.sort(key=lambda individual: individual.fitness.crowding_dist, reverse=True)
    return chosen + front[: count - len(chosen)]


def sentence(trees: Trees) -> Expr:
    """Draw a random sentence within the limits.

    Raises:
        GrammarError: Hundreds of draws were all over a limit, however short they were asked for.
    """
    tallest = min(trees.grammar.limits.depth, 7)
    for attempt in range(10 * TRIES):
        # The limits may be tight: ask for less and less.
        height = max(2, random.randint(2, tallest) - attempt // TRIES)
        made = trees.parts(trees.grow(height))[0]
        if trees.fits(made):
            return made.expr
    raise GrammarError(
        f"grammar '{trees.grammar.name}', key 'limits': no sentence found within all three limits; "
        f"the last one drawn was '{show(made.expr)}'"
    )

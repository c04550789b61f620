"""Typed genetic programming on DEAP: its primitive sets, its mutations, its selection.

Four things differ. Crossover chooses among ordered places, because DEAP's own draws a type from a
set of classes and is not reproducible (DEAP issue 190); and it may put a subtree of a subtype where
its supertype is asked for. A new branch grows with the type its place asks for. And what DEAP takes
from the global ``random`` module it takes from this proposer's stream, which is swapped in for the
time of a call. And fronts are ranked by moocore, which DEAP depends on, in C.
"""

from __future__ import annotations

import itertools
import math
import operator
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from deap import base, gp, tools
from moocore import pareto_rank

from symact.errors import GrammarError
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.propose._base import AbstractProposer, Objectives, Proposal, Told
from symact.propose._trees import Trees, rounded

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
_KINDS, _SHARES = tuple(VARIATION), tuple(itertools.accumulate(VARIATION.values()))
MUTATIONS = ("uniform", "constants", "replacement", "insert", "shrink")

#: Share of the parents drawn by tournament on the errors alone; the rest by dominance.
ERROR_SHARE = 0.6
#: What a decade of ID error weighs against one of OOD error in that tournament.
ID_WEIGHT = 0.25
#: Share of the survivors kept for their errors alone, before cost has a say.
ELITE_SHARE = 0.3
TRIES = 40


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0, -1.0)


class _Individual(gp.PrimitiveTree):  # type: ignore[misc]
    """A tree with its fitness and the expression it makes."""

    def __init__(self, content: Sequence[Any], expr: Expr, objectives: Objectives) -> None:
        super().__init__(content)
        self.expr = expr
        self.fitness = _Fitness(objectives)
        ood, id_error, _ = objectives
        #: What the tournament on errors alone compares.
        self.error = float(ood + ID_WEIGHT * id_error)
        self._formula = ""

    @property
    def formula(self) -> str:
        """The text of the expression, made when an individual first becomes a parent."""
        self._formula = self._formula or show(self.expr)
        return self._formula


_error = operator.attrgetter("error")


class _Stream:
    """A stream of random numbers that can stand in for the global one."""

    def __init__(self, seed: int) -> None:
        self._state = random.Random(seed).getstate()

    @contextmanager
    def active(self) -> Iterator[None]:
        outer = random.getstate()
        random.setstate(self._state)
        try:
            yield
        finally:
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
            return [Proposal(sentence(self._trees)[1], "random") for _ in range(count)]

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
        self._seeds = [expr for expr in seeds if self._trees.from_expr(expr) is not None]
        self._population: list[_Individual] = []
        #: The trees of the last proposals: to find them again from the expressions takes longer.
        self._asked: dict[Expr, Sequence[Any]] = {}

    def ask(self, count: int) -> list[Proposal]:
        self._asked = {}
        with self._stream.active():
            proposals = [Proposal(expr, "seed") for expr in self._seeds[:count]]
            self._seeds = self._seeds[count:]
            known = {individual.expr for individual in self._population}
            known.update(proposal.expr for proposal in proposals)
            parents = self._parents() if self._population else None
            while len(proposals) < count:
                proposal = self._fresh(parents, known)
                known.add(proposal.expr)
                proposals.append(proposal)
            return proposals

    def _fresh(self, parents: Callable[[], _Individual] | None, known: set[Expr]) -> Proposal:
        """Return a proposal that is not known yet; after many tries, a known one."""
        for _ in range(TRIES):
            proposal = self._random() if parents is None else self._child(parents)
            if proposal.expr not in known:
                break
        return proposal

    def _parents(self) -> Callable[[], _Individual]:
        """Return a function that draws a parent."""
        population = self._population

        def draw() -> _Individual:
            if random.random() < ERROR_SHARE:
                return min(random.choices(population, k=3), key=_error)
            first, second = random.choices(population, k=2)
            return second if second.fitness.dominates(first.fitness) else first

        return draw

    def _child(self, draw: Callable[[], _Individual]) -> Proposal:
        """Make a child that is within the limits; after many tries, a random sentence."""
        for _ in range(TRIES):
            kind = random.choices(_KINDS, cum_weights=_SHARES)[0]
            if kind == "random":
                break
            parent = draw()
            tree, parents = gp.PrimitiveTree(parent), [parent]
            if kind == "crossover":
                other = draw()
                parents.append(other)
                self._cross(tree, other)
                if random.random() < 1 / 3:
                    self._mutate(tree, random.choice(MUTATIONS))
            else:
                self._mutate(tree, kind)
            expr = self._trees.to_expr(tree)
            if expr != parent.expr and self._trees.fits(expr):
                self._asked[expr] = tree
                return Proposal(expr, kind, tuple(p.formula for p in parents))
        return self._random()

    def _random(self) -> Proposal:
        tree, expr = sentence(self._trees)
        self._asked[expr] = tree
        return Proposal(expr, "random")

    def _cross(self, tree: gp.PrimitiveTree, other: Sequence[Any]) -> None:
        """Put a subtree of ``other`` where the tree asks for its type or a supertype."""
        asked = self._trees.slots(tree)
        for _ in range(TRIES):
            place = random.randrange(len(tree))
            fitting = [i for i, node in enumerate(other) if issubclass(node.ret, asked[place])]
            inner = [i for i in fitting if other[i].arity]
            pool = inner if inner and random.random() < 0.9 else fitting
            if pool:
                chosen = random.choice(pool)
                donor = gp.PrimitiveTree(other)
                tree[tree.searchSubtree(place)] = donor[donor.searchSubtree(chosen)]
                return

    def _mutate(self, tree: gp.PrimitiveTree, kind: str) -> None:
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

    def _replace_branch(self, tree: gp.PrimitiveTree) -> None:
        """Grow a new branch of the type that a random place asks for.

        DEAP's ``mutUniform`` asks for the type the old branch had, so that below a gate only gates
        could ever grow.
        """
        asked = self._trees.slots(tree)
        place = random.randrange(len(tree))
        tree[tree.searchSubtree(place)] = self._trees.grow(random.randint(1, 4), asked[place])

    def _perturb(self, tree: gp.PrimitiveTree) -> None:
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
                    individual = self._individual(told.expr, told.objectives)
                    if individual is not None:
                        pool.append(individual)
            self._population = self._survivors(pool)

    def _individual(self, expr: Expr, objectives: Objectives) -> _Individual | None:
        tree = self._asked.get(expr) or self._trees.from_expr(expr)
        return None if tree is None else _Individual(tree, expr, objectives)

    def _survivors(self, pool: list[_Individual]) -> list[_Individual]:
        """Keep some for their errors, the others by non-dominated sorting and crowding."""
        if len(pool) <= self._size:
            return pool
        ordered = sorted(pool, key=_error)
        elite = ordered[: round(ELITE_SHARE * self._size)]
        rest = ordered[len(elite) :]
        return elite + survivors(rest, self._size - len(elite))

    def state(self) -> dict[str, Any]:
        return {
            "random": self._stream.dump(),
            "seeds": [show(expr) for expr in self._seeds],
            "population": [[self._trees.dump(i), list(i.fitness.values)] for i in self._population],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.load(state["random"])
        self._seeds = [parse(text) for text in state["seeds"]]
        self._population = []
        for dumped, (ood, id_error, cost) in state["population"]:
            tree = self._trees.load(dumped)
            own = _Individual(tree, self._trees.to_expr(tree), (ood, id_error, cost))
            self._population.append(own)


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


def sentence(trees: Trees) -> tuple[list[Any], Expr]:
    """Draw a random sentence within the limits; return its tree and its expression.

    Raises:
        GrammarError: Hundreds of draws were all over a limit, however short they were asked for.
    """
    tallest = min(trees.grammar.limits.depth, 7)
    for attempt in range(10 * TRIES):
        # The limits may be tight: ask for less and less.
        height = max(2, random.randint(2, tallest) - attempt // TRIES)
        tree = trees.grow(height)
        expr = trees.to_expr(tree)
        if trees.fits(expr):
            return tree, expr
    raise GrammarError(
        f"grammar '{trees.grammar.name}', key 'limits': no sentence found within all three limits; "
        f"the last one drawn was '{show(expr)}'"
    )

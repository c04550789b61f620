"""Typed genetic programming: populations on islands under several objectives.

DEAP provides the primitive sets, trees and fitnesses. :mod:`symact.proposers.variation` makes
children, and :mod:`symact.proposers.population` selects parents and survivors. All random numbers
come from one generator of the proposer.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from symact._shared import paused_collector
from symact.backends.simplify import simplify
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.proposers.base import AbstractProposer, Estimate, EvaluatedProposal, Proposal
from symact.proposers.evolution import Evolution
from symact.proposers.population import ERROR, PARENTS, Individual, select
from symact.proposers.random import dump_rng, load_rng, sentence, sentences_of
from symact.proposers.trees import Tree, Trees
from symact.proposers.variation import MUTATIONS, cross

#: Probabilities of the operators that make a child.
VARIATION = {
    "crossover": 0.27,
    "uniform": 0.13,
    "constants": 0.22,
    "wrap": 0.12,
    "reshape": 0.12,
    "replacement": 0.08,
    "insert": 0.05,
    "shrink": 0.08,
    "random": 0.05,
}
#: Probability that a mutation follows a crossover.
MUTATED_SHARE = 1 / 3
#: Probability that a parent comes from the archive, if the archive is not empty.
ARCHIVE_SHARE = 0.15
#: Tries to make a child within the limits, and tries to make one that is new.
TRIES = 40
#: The island index of individuals that belong to every island.
EVERYWHERE = -1

_KINDS = tuple(VARIATION)
_SHARES = tuple(accumulate(VARIATION.values()))
_MUTATIONS = tuple(MUTATIONS)


class GeneticProposer(AbstractProposer):
    """Evolve populations of expressions.

    Args:
        grammar: Grammar of the proposals.
        seed: Seed of all random numbers. Equal seeds and equal results give equal proposals.
        evolution: Settings; None for the default.
        seeds: Functions to propose first. Those outside the grammar are skipped.

    Example:
        >>> from symact import Grammar
        >>> proposer = GeneticProposer(Grammar.load("pointwise"), seed=0)
        >>> proposals = proposer.ask(4)
        >>> scores = (0.0, 0.0, 9.0)
        >>> proposer.tell([EvaluatedProposal(p.expr, scores, tag=p.tag) for p in proposals])
        >>> any(p.parents for p in proposer.ask(20))
        True
    """

    def __init__(
        self,
        grammar: Grammar,
        *,
        seed: int,
        evolution: Evolution | None = None,
        seeds: Sequence[Expr] = (),
    ) -> None:
        self._rng = random.Random(seed)
        self._trees = Trees(grammar, self._rng)
        self._inputs = tuple(grammar.terminals)
        self._settings = evolution or Evolution()
        self._seeds = sentences_of(grammar, seeds)
        self._islands: list[list[Individual]] = [[] for _ in range(self._settings.islands)]
        self._archive: dict[str, Individual] = {}
        self._turn = 0  # index of the island that makes the next proposal
        self._told = 0  # number of results so far

    @property
    def looks_ahead(self) -> bool:
        return True

    def ask(self, count: int) -> list[Proposal]:
        with paused_collector:
            return self._ask(count)

    def _ask(self, count: int) -> list[Proposal]:
        proposals = [Proposal(expr, "seed") for expr in self._seeds[:count]]
        self._seeds = self._seeds[count:]
        known = {i.expr for island in self._islands for i in island}
        known.update(proposal.expr for proposal in proposals)
        while len(proposals) < count:
            proposal = self._fresh(known)
            known.add(proposal.expr)
            proposals.append(proposal)
        return proposals

    def _fresh(self, known: set[Expr]) -> Proposal:
        """Return a proposal outside ``known``; after many tries, any proposal.

        Its tag holds the index of its island and the birth of its oldest ancestor.
        """
        home = self._turn
        self._turn = (self._turn + 1) % len(self._islands)
        for _ in range(TRIES):
            proposal, born = self._child(home) if self._islands[home] else self._random()
            if proposal.expr not in known:
                break
        return replace(proposal, tag=(home, born))

    def _random(self) -> tuple[Proposal, int]:
        return Proposal(sentence(self._trees), "random"), self._told

    def _parent(self, home: int) -> Individual:
        rng = self._rng
        if self._archive and rng.random() < ARCHIVE_SHARE:
            return list(self._archive.values())[int(rng.random() * len(self._archive))]
        return PARENTS[self._settings.selection](self._islands[home], rng)

    def _child(self, home: int) -> tuple[Proposal, int]:
        """Return a child within the limits and its birth; after many tries, a random sentence."""
        for _ in range(TRIES):
            kind = _KINDS[bisect(_SHARES, self._rng.random() * _SHARES[-1], 0, len(_KINDS) - 1)]
            if kind == "random":
                break
            parent = self._parent(home)
            tree, parents = parent.tree(self._trees).copy(), [parent]
            if kind == "crossover":
                parents.append(self._parent(home))
                self._cross(tree, parents[1])
            else:
                self._mutate(tree, kind)
            made = tree.parts[0]
            if made.expr != parent.expr and self._trees.fits(made):
                formulas = tuple([p.formula for p in parents])
                return Proposal(made.expr, kind, formulas), min([p.born for p in parents])
        return self._random()

    def _cross(self, tree: Tree, other: Individual) -> None:
        cross(tree, other.tree(self._trees), self._trees)
        if self._rng.random() < MUTATED_SHARE:
            self._mutate(tree, self._rng.choice(_MUTATIONS))

    def _mutate(self, tree: Tree, kind: str) -> None:
        """Mutate a tree in place. The tree stays the same if the mutation is not applicable."""
        if kind != "reshape" or self._settings.reshape:
            MUTATIONS[kind](tree, self._trees)

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        with paused_collector:
            for index, new in enumerate(self._arrivals(results)):
                self._settle(index, new)
            before, self._told = self._told, self._told + len(results)
            every = self._settings.migration_every
            if before // every != self._told // every:
                self._migrate()

    def _arrivals(self, results: Sequence[EvaluatedProposal]) -> list[list[Individual]]:
        """Return the new individuals of each island, and put the best into the archive."""
        arrived: list[list[Individual]] = [[] for _ in self._islands]
        for result in results:
            if result.objectives is None or not all(map(math.isfinite, result.objectives)):
                continue
            own = self._sentence(result.expr)
            if own is None:
                continue
            # Seeds and candidates of other origin have no tag.
            home, born = result.tag or (EVERYWHERE, self._told)
            individual = Individual.of(replace(result, expr=own), born, self._inputs)
            for index, island in enumerate(arrived):
                if home in (index, EVERYWHERE):
                    island.append(individual)
            self._keep(individual)
        return arrived

    def _sentence(self, expr: Expr) -> Expr | None:
        """Return the short form of an expression, or the expression; None if neither is a sentence.

        Candidates with the same short form are thus one individual.
        """
        derive = self._trees.grammar.derive
        short = simplify(expr, seconds=0)
        return next((own for own in (short, expr) if derive(own) is not None), None)

    def _settle(self, index: int, new: Sequence[Individual]) -> None:
        """Select the survivors of an island and of new individuals."""
        if not new:
            return
        pool = {individual.expr: individual for individual in (*self._islands[index], *new)}
        size = self._settings.population // len(self._islands)
        self._islands[index] = select(list(pool.values()), size, self._settings, self._rng)

    def _keep(self, individual: Individual) -> None:
        """Put an individual into the archive if it is the best of its behaviour."""
        if not self._settings.archive:
            return
        holder = self._archive.get(individual.behaviour)
        if holder is None or individual.error < holder.error:
            self._archive[individual.behaviour] = individual

    def revalue(self, estimate: Estimate) -> None:
        individuals = {i.expr: i for island in self._islands for i in island}
        individuals.update({i.expr: i for i in self._archive.values()})
        if not individuals:
            return
        for own, (ood, inside, error) in zip(
            individuals.values(), estimate(list(individuals)), strict=True
        ):
            own.revalue(ood, inside, error)
        same = individuals  # one individual may be on several islands
        self._islands = [
            sorted([same[i.expr] for i in island], key=ERROR) for island in self._islands
        ]
        self._archive = {key: same[i.expr] for key, i in self._archive.items()}

    def _migrate(self) -> None:
        """Copy the best individuals of each island to the next island."""
        leaving = [island[: self._settings.migrants] for island in self._islands]
        if len(leaving) > 1:
            for index in range(len(leaving)):
                self._settle(index, leaving[index - 1])

    def state(self) -> dict[str, Any]:
        return {
            "random": dump_rng(self._rng),
            "seeds": [show(expr) for expr in self._seeds],
            "islands": [[i.dump() for i in island] for island in self._islands],
            "archive": [i.dump() for i in self._archive.values()],
            "turn": self._turn,
            "told": self._told,
        }

    def restore(self, state: dict[str, Any]) -> None:
        load_rng(self._rng, state["random"])
        self._seeds = [parse(text, self._inputs) for text in state["seeds"]]
        known: dict[str, Individual] = {}  # one individual may be on several islands

        def load(stored: list[Any]) -> Individual:
            return known.setdefault(repr(stored), Individual.load(stored, self._inputs))

        derive = self._trees.grammar.derive
        self._islands = [
            [i for i in map(load, island) if derive(i.expr) is not None]
            for island in state["islands"]
        ]
        archived = [i for i in map(load, state["archive"]) if derive(i.expr) is not None]
        self._archive = {i.behaviour: i for i in archived}
        self._turn, self._told = state["turn"], state["told"]

"""Typed genetic programming on DEAP: its primitive sets, its mutations, its selection.

Four things differ. Crossover chooses among ordered places, because DEAP's own draws a type from a
set of classes and is not reproducible (DEAP issue 190); and it may put a subtree of a subtype where
its supertype is asked for. A new branch grows with the type its place asks for. And what DEAP takes
from the global ``random`` module it takes from this proposer's stream, which is swapped in for the
time of a call. And fronts are ranked by moocore, which DEAP depends on, in C.

Populations live on islands, which ask in turn. :mod:`symact.proposers.population` selects the
survivors.
"""

from __future__ import annotations

import gc
import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any

from deap import gp

from symact.backends.simplify import simplify
from symact.errors import GrammarError
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.proposers.base import AbstractProposer, Estimate, Proposal, Told
from symact.proposers.evolution import Evolution
from symact.proposers.population import ERROR, PARENTS, Individual, select
from symact.proposers.reshape import reshape
from symact.proposers.trees import Tree, Trees, rounded

#: What makes a child, with its share; crossover is followed by a mutation a third of the time.
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
MUTATIONS = ("uniform", "constants", "wrap", "reshape", "replacement", "insert", "shrink")
#: How far literals are scaled, as a logarithm, and how often all of a function are at once.
STEPS, ALL_SHARE = (0.1, 0.3, 0.8), 0.3
#: Share of wrapping that is around the whole function: its scale is that of what a layer passes on.
WHOLE_SHARE = 0.4

#: Share of the parents that come from the quality-diversity archive, where there is one.
ARCHIVE_SHARE = 0.15
TRIES = 40
#: The island of what every island gets.
EVERYWHERE = -1

_KINDS = tuple(VARIATION)
_SHARES = tuple(accumulate(VARIATION.values()))


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
    """Independent random sentences, after the seeds; learns nothing."""

    def __init__(self, grammar: Grammar, seed: int, seeds: tuple[Expr, ...] = ()) -> None:
        self._trees = Trees(grammar)
        self._stream = _Stream(seed)
        self._seeds = sentences_of(grammar, seeds)

    @property
    def looks_ahead(self) -> bool:
        return True

    def ask(self, count: int) -> list[Proposal]:
        first = [Proposal(expr, "seed") for expr in self._seeds[:count]]
        self._seeds = self._seeds[count:]
        with self._stream.active():
            missing = range(count - len(first))
            return first + [Proposal(sentence(self._trees), "random") for _ in missing]

    def tell(self, results: Sequence[Told]) -> None:
        """Take no notice."""

    def state(self) -> dict[str, Any]:
        return {"random": self._stream.dump(), "seeds": [show(expr) for expr in self._seeds]}

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.load(state["random"])
        self._seeds = [parse(text) for text in state["seeds"]]


class GeneticProposer(AbstractProposer):
    """Evolves populations under several objectives.

    Args:
        grammar: What may be proposed.
        seed: Of all random numbers.
        settings: The parts of evolution.
        seeds: What is proposed first; those that are no sentences are left out.
    """

    def __init__(
        self, grammar: Grammar, seed: int, settings: Evolution, seeds: tuple[Expr, ...]
    ) -> None:
        self._trees = Trees(grammar)
        self._stream = _Stream(seed)
        self._settings = settings
        self._seeds = sentences_of(grammar, seeds)
        self._islands: list[list[Individual]] = [[] for _ in range(settings.islands)]
        self._archive: dict[str, Individual] = {}
        self._turn = 0  # the island that asks next
        self._told = 0

    @property
    def looks_ahead(self) -> bool:
        return True

    def ask(self, count: int) -> list[Proposal]:
        with self._stream.active():
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
        """Return a proposal that is not known yet; after many tries, a known one.

        Its tag says on which island and when its oldest ancestor was made.
        """
        place = self._turn
        self._turn = (self._turn + 1) % len(self._islands)
        for _ in range(TRIES):
            proposal, born = self._child(place) if self._islands[place] else self._random()
            if proposal.expr not in known:
                break
        return replace(proposal, tag=(place, born))

    def _random(self) -> tuple[Proposal, int]:
        return Proposal(sentence(self._trees), "random"), self._told

    def _parent(self, place: int) -> Individual:
        if self._archive and random.random() < ARCHIVE_SHARE:
            return list(self._archive.values())[int(random.random() * len(self._archive))]
        return PARENTS[self._settings.selection](self._islands[place])

    def _child(self, place: int) -> tuple[Proposal, int]:
        """Make a child that is within the limits; after many tries, a random sentence."""
        for _ in range(TRIES):
            kind = _KINDS[bisect(_SHARES, random.random() * _SHARES[-1], 0, len(_KINDS) - 1)]
            if kind == "random":
                break
            parent = self._parent(place)
            tree, parents = parent.tree(self._trees).copy(), [parent]
            if kind == "crossover":
                other = self._parent(place)
                parents.append(other)
                self._cross(tree, other.tree(self._trees))
                if random.random() < 1 / 3:
                    self._mutate(tree, random.choice(MUTATIONS))
            else:
                self._mutate(tree, kind)
            made = tree.parts[0]
            if made.expr != parent.expr and self._trees.fits(made):
                formulas = tuple([p.formula for p in parents])
                return Proposal(made.expr, kind, formulas), min([p.born for p in parents])
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
            elif kind == "wrap":
                self._wrap(tree)
            elif kind == "reshape":
                self._reshape(tree)
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

    def _wrap(self, tree: Tree) -> None:
        """Scale, shift or cut off a branch: put a primitive and a literal around it."""
        place = 0 if random.random() < WHOLE_SHARE else random.randrange(len(tree))
        old = tree[tree.searchSubtree(place)]
        new = self._trees.wrapped(old, tree.asked(place), shifts=place > 0)
        if new is not None:
            tree.put(place, new, self._trees.parts(new))

    def _reshape(self, tree: Tree) -> None:
        """Change the whole function where training hardly notices, if that makes a sentence."""
        spec = self._trees.grammar.constants
        if not self._settings.reshape or spec is None or spec.distribution == "choice":
            return
        made = reshape(tree.parts[0].expr, spec.digits)
        limits = self._trees.grammar.limits
        if made.size > limits.nodes or made.depth > limits.depth:
            return
        new = self._trees.from_expr(made)
        if new is not None:
            tree.put(0, new, new.parts)

    def _perturb(self, tree: Tree) -> None:
        """Scale literals, or draw them anew; one of them or all. Without any, grow a branch."""
        places = [i for i, node in enumerate(tree) if isinstance(type(node), gp.MetaEphemeral)]
        spec = self._trees.grammar.constants
        if not places or spec is None:
            self._replace_branch(tree)
            return
        if random.random() >= ALL_SHARE:
            places = [random.choice(places)]
        step = random.choice(STEPS)
        for place in places:
            new = type(tree[place])()
            if spec.distribution != "choice" and random.random() < 0.8:
                scaled = tree[place].value * math.exp(random.gauss(0.0, step))
                new.value = rounded(scaled, spec.digits) or new.value
            tree[place] = new

    def tell(self, results: Sequence[Told]) -> None:
        with self._stream.active():
            arrived: list[list[Individual]] = [[] for _ in self._islands]
            for told in results:
                if told.objectives is None or not all(map(math.isfinite, told.objectives)):
                    continue
                own = self._sentence(told.expr)
                if own is None:
                    continue
                # Without a tag it is a seed, or from outside.
                home, born = told.tag or (EVERYWHERE, self._told)
                individual = Individual.of(replace(told, expr=own), born)
                for place, island in enumerate(arrived):
                    if home in (place, EVERYWHERE):
                        island.append(individual)
                self._keep(individual)
            for place, new in enumerate(arrived):
                self._settle(place, new)
            before, self._told = self._told, self._told + len(results)
            every = self._settings.migration_every
            if before // every != self._told // every:
                self._migrate()

    def _sentence(self, expr: Expr) -> Expr | None:
        """Return an expression as short as it can be had at once, None if it is no sentence.

        What is known by its short form, such as what was trained, is thus the same individual.
        """
        derive = self._trees.grammar.derive
        short = simplify(expr, seconds=0)
        return next((own for own in (short, expr) if derive(own) is not None), None)

    def _settle(self, place: int, new: Sequence[Individual]) -> None:
        """Let some individuals compete for the places of an island."""
        if not new:
            return
        pool = {individual.expr: individual for individual in (*self._islands[place], *new)}
        size = self._settings.population // len(self._islands)
        self._islands[place] = select(list(pool.values()), size, self._settings)

    def _keep(self, individual: Individual) -> None:
        """Put an individual into the archive if none of its kind is better."""
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
        same = individuals  # an individual may live in several places
        self._islands = [
            sorted([same[i.expr] for i in island], key=ERROR) for island in self._islands
        ]
        self._archive = {key: same[i.expr] for key, i in self._archive.items()}

    def _migrate(self) -> None:
        """Copy the best of each island to the next one."""
        leaving = [island[: self._settings.migrants] for island in self._islands]
        if len(leaving) > 1:
            for place in range(len(leaving)):
                self._settle(place, leaving[place - 1])

    def state(self) -> dict[str, Any]:
        return {
            "random": self._stream.dump(),
            "seeds": [show(expr) for expr in self._seeds],
            "islands": [[i.dump() for i in island] for island in self._islands],
            "archive": [i.dump() for i in self._archive.values()],
            "turn": self._turn,
            "told": self._told,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.load(state["random"])
        self._seeds = [parse(text) for text in state["seeds"]]
        known: dict[str, Individual] = {}  # one individual for all the places it has

        def load(stored: list[Any]) -> Individual:
            return known.setdefault(repr(stored), Individual.load(stored))

        derive = self._trees.grammar.derive
        self._islands = [
            [i for i in map(load, island) if derive(i.expr) is not None]
            for island in state["islands"]
        ]
        archived = [i for i in map(load, state["archive"]) if derive(i.expr) is not None]
        self._archive = {i.behaviour: i for i in archived}
        self._turn, self._told = state["turn"], state["told"]


def sentences_of(grammar: Grammar, exprs: Sequence[Expr]) -> list[Expr]:
    """Return those that a grammar can make."""
    return [expr for expr in exprs if grammar.derive(expr) is not None]


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

"""The baseline: genetic programming as DEAP brings it, ``algorithms.eaMuPlusLambda``.

DEAP's own crossover, mutation, selection and loop over the same typed primitive set, with one
fitness and without ladder, surrogate, islands or archive. Only branches are grown by our own code,
because DEAP's generators fail where a type has primitives and no terminal. The loop runs in a
thread of its own; its ``map`` hands what is to be evaluated to the search and waits for what full
training says. Two runs of one seed differ: DEAP's crossover draws a type from a set of classes,
whose order is another in every process (DEAP issue 190).
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deap import algorithms, base, gp, tools

from symact.evaluation import Outcome, screen
from symact.expr import Expr
from symact.grammar import Grammar
from symact.proposers import EvaluatedProposal, Proposal
from symact.proposers.trees import Trees

#: A small population, since a run has some 130 full trainings; crossover as in DEAP's example of
#: symbolic regression, and the rest mutation but for a tenth that is copied.
MU, LAMBDA, CROSSOVER, MUTATION = 20, 20, 0.5, 0.4
#: After so many generations without a new function the search is told that there is none.
EMPTY = 50
#: Heights of what it begins with, and of new branches.
FIRST, BRANCH = (2, 5), (1, 3)
#: Of what the screen rejects: worse than anything that was trained.
WORST = 99.0


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0,)


class _Tree(gp.PrimitiveTree):  # type: ignore[misc]
    def __init__(self, content: Iterable[Any]) -> None:
        super().__init__(content)
        self.fitness = _Fitness()


class _Ended(BaseException):
    """The search has ended; so does the thread."""


class PlainGP:
    """Asks and is told as a search wants it; ``eaMuPlusLambda`` decides.

    Args:
        grammar: Whose primitive set and limits hold.
        seed: Of all its random numbers.
        seeds: The first individuals of the population.
    """

    def __init__(self, grammar: Grammar, seed: int, seeds: Sequence[Expr] = ()) -> None:
        self._stream = random.Random(seed)
        self._trees = Trees(grammar, random.Random(self._stream.getrandbits(64)))
        self._seeds = [tree for expr in seeds if (tree := self._trees.from_expr(expr)) is not None]
        self._asked: queue.Queue[Any] = queue.Queue()
        self._answered: queue.Queue[Any] = queue.Queue()
        self._known: dict[str, float] = {}  # by fingerprint: a function has one fitness
        self._waiting: list[tuple[Expr, str]] = []
        self._empty = 0
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def ask(self, count: int) -> list[Proposal]:
        """Return what the loop wants evaluated next, at most so many."""
        if not self._waiting:
            self._waiting = self._next()
        now = self._waiting[:count]
        return [Proposal(expr, "eaMuPlusLambda") for expr, _ in now]

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        for told, (_, key) in zip(results, self._waiting, strict=False):
            error = told.error if told.objectives is not None else None
            self._known[key] = WORST if error is None else error
        self._waiting = self._waiting[len(results) :]
        if not self._waiting:
            self._answered.put(None)

    def close(self) -> None:
        self._ended.set()
        self._answered.put(None)
        if self._thread is not None:
            self._thread.join()

    def _next(self) -> list[tuple[Expr, str]]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._evolve, daemon=True)
            self._thread.start()
        if self._failure is None:
            asked = self._asked.get()
            if not isinstance(asked, BaseException):
                return list(asked)
            self._failure = asked
        raise self._failure

    def _evolve(self) -> None:
        # DEAP draws from the global stream, which nothing else in such a search reads.
        random.setstate(self._stream.getstate())
        try:
            toolbox = self._toolbox()
            algorithms.eaMuPlusLambda(
                self._population(toolbox), toolbox, MU, LAMBDA, CROSSOVER, MUTATION,
                ngen=10**9, verbose=False,
            )  # fmt: skip
        except _Ended:
            return
        except BaseException as error:
            self._asked.put(error)

    def _toolbox(self) -> base.Toolbox:
        pset = self._trees.pset
        toolbox = base.Toolbox()
        toolbox.register("individual", self._individual)
        toolbox.register("branch", self._branch)
        toolbox.register("mate", gp.cxOnePoint)
        toolbox.register("mutate", self._mutate, branch=toolbox.branch, pset=pset)
        toolbox.register("select", tools.selBest)
        toolbox.register("clone", lambda tree: _copy(tree))
        toolbox.register("evaluate", lambda tree: (self._known[self._key(tree)],))
        toolbox.register("map", self._map)
        limit = gp.staticLimit(self._excess, 0)
        toolbox.decorate("mate", limit)
        toolbox.decorate("mutate", limit)
        return toolbox

    def _branch(self, pset: Any, type_: Any) -> list[Any]:
        return self._trees.grow(random.randint(*BRANCH), type_)

    def _mutate(self, tree: _Tree, branch: Any, pset: Any) -> tuple[_Tree]:
        """Draw a literal anew or grow a new branch, by DEAP's own mutations."""
        is_literal = any(isinstance(type(node), gp.MetaEphemeral) for node in tree)
        if is_literal and random.random() < 0.5:
            return gp.mutEphemeral(tree, "one")
        return gp.mutUniform(tree, branch, pset)

    def _population(self, toolbox: base.Toolbox) -> list[_Tree]:
        seeded = [_Tree(tree) for tree in self._seeds[:MU]]
        return seeded + [toolbox.individual() for _ in range(MU - len(seeded))]

    def _individual(self) -> _Tree:
        while True:
            tree = _Tree(self._trees.grow(random.randint(*FIRST)))
            if not self._excess(tree):
                return tree

    def _part(self, tree: Sequence[Any]) -> Any:
        return self._trees.parts(list(tree))[0]

    def _excess(self, tree: Sequence[Any]) -> int:
        """Return 1 for a tree over one of the grammar's limits."""
        return int(not self._trees.fits(self._part(tree)))

    def _key(self, tree: Sequence[Any]) -> str:
        checked = screen(self._part(tree).expr)
        passed = checked.outcome == Outcome.PASSED
        return checked.fingerprint if passed else f"rejected: {checked.outcome.value}"

    def _map(self, evaluate: Callable[[Any], Any], trees: Iterable[Any]) -> list[Any]:
        """Have the search evaluate what is new, then return all fitnesses."""
        if self._ended.is_set():
            raise _Ended
        trees = list(trees)
        new: dict[str, Expr] = {}
        for tree in trees:
            key = self._key(tree)
            if key not in self._known:
                new.setdefault(key, self._part(tree).expr)
        for key in [key for key in new if key.startswith("rejected")]:
            self._known[key] = WORST
            del new[key]
        self._empty = 0 if new else self._empty + 1
        if new or self._empty >= EMPTY:
            self._empty = 0
            self._asked.put([(expr, key) for key, expr in new.items()])
            self._answered.get()
            if self._ended.is_set():
                raise _Ended
        return [evaluate(tree) for tree in trees]


def _copy(tree: _Tree) -> _Tree:
    made = _Tree(tree)
    made.fitness.values = tree.fitness.values
    return made

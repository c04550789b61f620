"""The baseline: genetic programming as DEAP brings it, ``algorithms.eaMuPlusLambda``.

DEAP's own crossover, mutation, selection and loop over the same typed primitive set, with one
fitness and without ladder, forecast, islands or archive. Only branches are grown by our own code,
because DEAP's generators fail where a type has primitives and no terminal. The loop runs in a
thread of its own; its ``map`` hands what is to be evaluated to the search and waits for what full
training says. Two runs of one seed differ: DEAP's crossover draws a type from a set of classes, whose
order is another in every process (DEAP issue 190).
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deap import algorithms, base, gp, tools

from symact.expr import Expr
from symact.grammar import Grammar
from symact.propose import Proposal, Told
from symact.propose._trees import Trees
from symact.score import Outcome, screen

#: As in DEAP's symbolic regression example and its documentation of the algorithm.
MU, LAMBDA, CROSSOVER, MUTATION, TOURNAMENT = 20, 20, 0.5, 0.4, 3
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
    """

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._trees = Trees(grammar)
        self._stream = random.Random(seed)
        self._asked: queue.Queue[Any] = queue.Queue()
        self._answered: queue.Queue[Any] = queue.Queue()
        self._known: dict[str, float] = {}  # by fingerprint: a function has one fitness
        self._waiting: list[tuple[Expr, str]] = []
        self._answers: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def ask(self, count: int) -> list[Proposal]:
        """Return what the loop wants evaluated next, at most so many."""
        if not self._waiting:
            self._waiting = self._next()
        now = self._waiting[:count]
        return [Proposal(expr, "eaMuPlusLambda") for expr, _ in now]

    def tell(self, results: Sequence[Told]) -> None:
        for told, (_, key) in zip(results, self._waiting, strict=False):
            error = told.error if told.objectives is not None else None
            self._known[key] = WORST if error is None else error
        self._waiting = self._waiting[len(results) :]
        if not self._waiting:
            self._answered.put(None)

    def close(self) -> None:
        self._answered.put(_Ended())
        if self._thread is not None:
            self._thread.join()

    def _next(self) -> list[tuple[Expr, str]]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._evolve, daemon=True)
            self._thread.start()
        asked = self._asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return list(asked)

    def _evolve(self) -> None:
        # DEAP draws from the global stream, which nothing else in such a search reads.
        random.setstate(self._stream.getstate())
        try:
            toolbox = self._toolbox()
            algorithms.eaMuPlusLambda(
                toolbox.population(n=MU), toolbox, MU, LAMBDA, CROSSOVER, MUTATION,
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
        toolbox.register("population", tools.initRepeat, list, toolbox.individual)
        toolbox.register("branch", self._branch)
        toolbox.register("mate", gp.cxOnePoint)
        toolbox.register("mutate", gp.mutUniform, expr=toolbox.branch, pset=pset)
        toolbox.register("select", tools.selTournament, tournsize=TOURNAMENT)
        toolbox.register("clone", lambda tree: _copy(tree))
        toolbox.register("evaluate", lambda tree: (self._known[self._key(tree)],))
        toolbox.register("map", self._map)
        limit = gp.staticLimit(self._excess, 0)
        toolbox.decorate("mate", limit)
        toolbox.decorate("mutate", limit)
        return toolbox

    def _branch(self, pset: Any, type_: Any) -> list[Any]:
        return self._trees.grow(random.randint(*BRANCH), type_)

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
        trees = list(trees)
        new: dict[str, Expr] = {}
        for tree in trees:
            key = self._key(tree)
            if key not in self._known:
                new.setdefault(key, self._part(tree).expr)
        for key in [key for key in new if key.startswith("rejected")]:
            self._known[key] = WORST
            del new[key]
        if new:
            self._asked.put([(expr, key) for key, expr in new.items()])
            if isinstance(self._answered.get(), _Ended):
                raise _Ended
        return [evaluate(tree) for tree in trees]


def _copy(tree: _Tree) -> _Tree:
    made = _Tree(tree)
    made.fitness.values = tree.fitness.values
    return made

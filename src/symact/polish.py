"""The constants of one function, tuned by CMA-ES against what it will be judged by.

N. Hansen and A. Ostermeier, "Completely derandomized self-adaptation in evolution strategies",
Evol. Comput. 9 (2001); the strategy is DEAP's. Constants move as logarithms of their sizes, each by
its own part, and keep their signs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from deap import cma

from symact.expr import Expr, call, const, fold, literals, with_literals
from symact.grammar import Grammar
from symact.refine import rounded

#: Variants of a generation, and how far the first ones are from the start, as a logarithm.
VARIANTS, STEP = 6, 0.12
#: Significant digits of the constants that are tried.
DIGITS = 3
#: A function gets literals of its own for its gates while it has fewer than this.
MOST_LITERALS = 8


class Polisher:
    """Asks for the errors of variants, and moves to where they are low.

    What it asks for depends on its arguments and on what it was told alone.

    Args:
        expr: With at least one literal that is not 0.
        seed: Of the variants.
    """

    def __init__(self, expr: Expr, seed: int) -> None:
        self._expr, self._seed = expr, seed
        start = np.array([value for value in literals(expr) if value != 0])
        self._signs = np.sign(start)
        self._strategy = cma.Strategy(np.log(np.abs(start)), STEP, lambda_=VARIANTS)
        self._generation = 0
        self._asked: list[Any] = []

    def ask(self) -> list[Expr]:
        """Return the variants of a generation."""
        state = np.random.get_state()  # noqa: NPY002  # DEAP draws from numpy's global stream
        np.random.seed([self._seed, self._generation])  # noqa: NPY002
        try:
            self._asked = self._strategy.generate(lambda values: values)
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return [self._with(values) for values in self._asked]

    def tell(self, merits: Sequence[float]) -> None:
        """Take what the variants are worth, low is good, in their order."""
        order = np.argsort(np.asarray(merits), kind="stable")
        ranked = [_Ranked(self._asked[place], -rank) for rank, place in enumerate(order)]
        self._strategy.update(ranked)
        self._generation += 1

    @property
    def mean(self) -> Expr:
        """The middle of what would be tried next."""
        return self._with(self._strategy.centroid)

    def _with(self, logs: Any) -> Expr:
        values = iter((self._signs * np.exp(logs)).tolist())
        new = [next(values) if value != 0 else 0.0 for value in literals(self._expr)]
        return rounded(with_literals(self._expr, new), DIGITS)


class _Ranked(np.ndarray):
    """A vector with a fitness, as DEAP wants it."""

    fitness: int

    def __new__(cls, values: Any, fitness: int) -> _Ranked:
        made = np.asarray(values).view(cls)
        made.fitness = fitness
        return made


def loosened(expr: Expr, grammar: Grammar) -> Expr:
    """Give gates a width of their own: ``silu(u)`` becomes ``u*sigmoid(c*u)`` with c near 1.

    Gates are taken one after another, the widest branches first, as long as the function remains a
    sentence of the grammar and has few literals. Each c differs a little, so that they are tuned
    apart.
    """
    for _ in range(MOST_LITERALS):
        if len(literals(expr)) >= MOST_LITERALS:
            break
        gates = sorted(_gates(expr), key=lambda gate: -gate.size)
        width = const(1.0 + 0.001 * len(literals(expr)))
        made = next(
            (new for gate in gates if _is_sentence(new := _apart(expr, gate, width), grammar)), None
        )
        if made is None:
            break
        expr = made
    return expr


_GATES: dict[str, Callable[[Expr], Expr]] = {
    "silu": lambda u: call("sigmoid", u),
    "mish": lambda u: call("tanh", call("softplus", u)),
}


def _gates(expr: Expr) -> list[Expr]:
    found: list[Expr] = []

    def visit(node: Expr, args: Sequence[None]) -> None:
        if node.op in _GATES:
            found.append(node)

    fold(expr, visit)
    return found


def _apart(expr: Expr, gate: Expr, width: Expr) -> Expr:
    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node == gate:
            return call("mul", args[0], _GATES[node.op](call("mul", width, args[0])))
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def _is_sentence(expr: Expr, grammar: Grammar) -> bool:
    limits = grammar.limits
    return (
        expr.size <= limits.nodes
        and expr.depth <= limits.depth
        and grammar.derive(expr) is not None
    )

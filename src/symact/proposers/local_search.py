"""Local search: tuned, rounded and pruned variants of a good candidate.

With a grammar of trained parameters, literals also become parameters and parameters literals.

Variants are candidates like all others: they are trained, recorded and selected by their score. A
simpler variant therefore wins only if it keeps or improves the score.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import count

from symact.expr import (
    Expr,
    const,
    fold,
    literals,
    param,
    parameters,
    show,
    with_parameters,
)
from symact.expr.cost import flops
from symact.expr.primitives import CONST, PRIMITIVES
from symact.grammar import Grammar
from symact.proposers import Proposal

#: Significant digits of rounded literals.
DIGITS = (1, 2, 3)
#: Largest number of pruned variants; the cheapest variants come first.
MOST_PRUNED = 12


def variants(
    expr: Expr, tuned: Expr | None, grammar: Grammar, *, prune: bool = True
) -> list[Proposal]:
    """Return the distinct variants that are sentences of a grammar within its limits.

    Args:
        expr: The candidate.
        tuned: The candidate with trained constants; None if there are none.
        grammar: Grammar of the variants.
        prune: Whether to replace branches by one of their arguments.

    Example:
        >>> from symact import Grammar, parse
        >>> found = variants(parse("1.23*tanh(x)"), None, Grammar.load("pointwise"))
        >>> [str(variant.expr) for variant in found]
        ['1*tanh(x)', '1.2*tanh(x)', '1.23*x', 'tanh(x)']
    """
    parents = (show(expr),)
    found: dict[Expr, Proposal] = {}
    if tuned is not None:
        for digits in DIGITS:
            own = rounded(tuned, digits)
            found.setdefault(own, Proposal(own, "tuned", parents))
    for digits in DIGITS:
        own = rounded(expr, digits)
        found.setdefault(own, Proposal(own, "rounded", parents))
    if grammar.trained is not None:
        for own in released(expr):
            found.setdefault(own, Proposal(own, "released", parents))
        for own in held(expr):
            found.setdefault(own, Proposal(own, "held", parents))
    if prune:
        for own in list(pruned(expr))[:MOST_PRUNED]:
            found.setdefault(own, Proposal(own, "pruned", parents))
    found.pop(expr, None)
    limits = grammar.limits
    return [
        proposal
        for own, proposal in found.items()
        if own.size <= limits.nodes
        and own.depth <= limits.depth
        and flops(own) <= limits.flops
        and grammar.derive(own) is not None
    ]


def rounded(expr: Expr, digits: int) -> Expr:
    """Return an expression with its literals rounded to significant digits."""

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return const(float(f"{node.number:.{digits - 1}e}"))
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def released(expr: Expr) -> list[Expr]:
    """Return the expressions with one literal replaced by a new trained parameter of its value.

    Example:
        >>> from symact import parse
        >>> [str(own) for own in released(parse("x*sigmoid(1.7*x) + 0.1*x"))]
        ['x*sigmoid(param(1.7)*x) + 0.1*x', 'x*sigmoid(1.7*x) + param(0.1)*x']
    """
    known = parameters(expr)

    def replaced(number: float) -> Expr:
        new = next(
            own for own in map(functools.partial(param, number), count()) if own not in known
        )

        def visit(node: Expr, args: Sequence[Expr]) -> Expr:
            if node.op == CONST and node.number == number:
                return new
            return Expr(node.op, tuple(args), node.value)

        return fold(expr, visit)

    return [replaced(number) for number in literals(expr)]


def held(expr: Expr) -> list[Expr]:
    """Return the expressions with one trained parameter replaced by its initial value.

    Example:
        >>> from symact import parse
        >>> [str(own) for own in held(parse("param(2)*tanh(param(0.5)*x)"))]
        ['2*tanh(param(0.5)*x)', 'param(2)*tanh(0.5*x)']
    """
    own = parameters(expr)
    return [
        with_parameters(expr, [const(p.parameter[0]) if p == one else p for p in own])
        for one in own
    ]


def pruned(expr: Expr) -> list[Expr]:
    """Return the expressions with one branch replaced by an argument of its sort.

    The cheapest expression comes first.
    """
    found = dict.fromkeys(_pruned(expr))
    return sorted(found, key=lambda own: (flops(own), own.size, show(own)))


def _pruned(node: Expr) -> Iterator[Expr]:
    if node.op not in PRIMITIVES:
        return
    row = PRIMITIVES[node.op]
    for arg, sort in zip(node.args, row.argument_sorts, strict=True):
        if sort == row.sort and arg.varies:
            yield arg
    for place, arg in enumerate(node.args):
        for smaller in _pruned(arg):
            yield Expr(node.op, (*node.args[:place], smaller, *node.args[place + 1 :]))

"""Variants of a good candidate that a mutation would hardly meet: tuned, rounded, pruned.

They are candidates like others: judged, recorded and chosen by their score alone. So a
simplification is kept only where it keeps or improves the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symact.expr import Expr, const, fold, show
from symact.expr.cost import flops
from symact.expr.primitives import CONST, PRIMITIVES
from symact.grammar import Grammar
from symact.proposers import Proposal

#: Significant digits that literals are rounded to.
DIGITS = (1, 2, 3)
#: At most so many branches are pruned, the most expensive first.
MOST_PRUNED = 12


def variants(
    expr: Expr, tuned: Expr | None, grammar: Grammar, *, prune: bool = True
) -> list[Proposal]:
    """Return variants that are sentences of a grammar and keep its limits, each once.

    Args:
        expr: The candidate.
        tuned: The same with constants that training has tuned, if it has.
        grammar: What may be proposed.
        prune: Whether branches are replaced by one of their arguments.
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
    """Return an expression with its literals rounded to some significant digits."""

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return const(float(f"{node.number:.{digits - 1}e}"))
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def pruned(expr: Expr) -> list[Expr]:
    """Return what is left when one branch is replaced by an argument of its own sort.

    The cheapest come first.
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

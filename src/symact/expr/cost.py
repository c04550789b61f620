"""What one evaluation of an expression costs, after sharing and constant folding."""

from __future__ import annotations

from symact.expr import Expr
from symact.expr.primitives import PRIMITIVES

_FLOPS = {name: row.flops for name, row in PRIMITIVES.items()}


def flops(expr: Expr) -> int:
    """Return the floating-point operations of one evaluation.

    Each distinct subexpression counts once; leaves and subexpressions of constants only are free.

    Example:
        >>> from symact.expr import parse
        >>> flops(parse("sin(x)*sin(x) + exp(2)"))
        12
    """
    total = 0
    seen: set[Expr] = set()
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if node.args and node.varies and node not in seen:
            seen.add(node)
            total += _FLOPS[node.op]
            waiting.extend(node.args)
    return total

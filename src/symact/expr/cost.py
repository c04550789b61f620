"""The cost of an expression in floating-point operations (FLOPs)."""

from __future__ import annotations

from symact.expr import Expr
from symact.expr.primitives import PRIMITIVES

_FLOPS = {name: row.flops for name, row in PRIMITIVES.items()}


def flops(expr: Expr) -> int:
    """Return the number of floating-point operations per element.

    Each distinct subexpression counts once. Leaves and constant subexpressions cost nothing.
    :data:`symact.expr.primitives.PRIMITIVES` defines the cost of each primitive.

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

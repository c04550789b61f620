"""What one evaluation of an expression costs, after sharing and constant folding."""

from __future__ import annotations

from dataclasses import dataclass

from symact.expr import Expr
from symact.expr.primitives import PRIMITIVES

_FLOPS = {name: row.flops for name, row in PRIMITIVES.items()}

#: The FLOPs of one elementary transcendental function: a primitive that costs as much has one.
_TRANSCENDENTAL = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an expression.

    Attributes:
        flops: Floating-point operations of one evaluation (see :func:`flops`).
        nodes: Nodes of the tree, leaves included, shared ones counted at each use.
        depth: Height of the tree; a leaf has depth 1.
        transcendental: Distinct calls of primitives that need an elementary transcendental
            function (``exp``, ``tanh``, ``gelu``, ...), constants excluded.
    """

    flops: int
    nodes: int
    depth: int
    transcendental: int


def flops(expr: Expr) -> int:
    """Return the floating-point operations of one evaluation.

    Each distinct subexpression counts once; leaves and subexpressions of constants only are free.
    """
    return sum(_work(expr))


def cost(expr: Expr) -> Cost:
    """Return all costs of an expression."""
    work = _work(expr)
    return Cost(
        flops=sum(work),
        nodes=expr.size,
        depth=expr.depth,
        transcendental=sum(each >= _TRANSCENDENTAL for each in work),
    )


def _work(expr: Expr) -> list[int]:
    """Return the FLOPs of each distinct subexpression that contains a variable."""
    work: list[int] = []
    seen: set[Expr] = set()
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if node.args and node.varies and node not in seen:
            seen.add(node)
            work.append(_FLOPS[node.op])
            waiting.extend(node.args)
    return work

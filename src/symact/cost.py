"""What one evaluation of an expression costs, after sharing and constant folding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symact.expr import Expr, depth, fold, size
from symact.ops import PRIMITIVES, VAR

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
        nodes=size(expr),
        depth=depth(expr),
        transcendental=sum(each >= _TRANSCENDENTAL for each in work),
    )


def _work(expr: Expr) -> list[int]:
    """Return the FLOPs of each distinct subexpression that contains a variable."""
    work: list[int] = []

    def visit(node: Expr, args: Sequence[bool]) -> bool:
        varies = node.op == VAR or any(args)
        if varies and node.args:
            work.append(PRIMITIVES[node.op].flops)
        return varies

    fold(expr, visit)
    return work

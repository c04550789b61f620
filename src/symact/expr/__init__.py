"""The expression language: primitives, expressions, parser, printer, cost and canonical form."""

from symact.expr.expression import (
    Expr,
    call,
    const,
    distinct,
    fold,
    literals,
    param,
    parameters,
    sort_of,
    substitute,
    uses_statistics,
    var,
    variables,
    with_literals,
    with_parameters,
)
from symact.expr.parser import MAX_DEPTH, MAX_TEXT, parse
from symact.expr.printer import show

__all__ = [
    "MAX_DEPTH",
    "MAX_TEXT",
    "Expr",
    "call",
    "const",
    "distinct",
    "fold",
    "literals",
    "param",
    "parameters",
    "parse",
    "show",
    "sort_of",
    "substitute",
    "uses_statistics",
    "var",
    "variables",
    "with_literals",
    "with_parameters",
]

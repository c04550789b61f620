"""Hints for names that are no primitive, among them names that other libraries use."""

from __future__ import annotations

from symact.errors import choices
from symact.expr.primitives import PRIMITIVES

#: Names of other libraries and papers with the primitive that computes the same.
_ELSEWHERE = {
    "swish": "silu",
    "arctan": "atan",
    "arcsinh": "asinh",
    "ln": "log",
    "expit": "sigmoid",
    "logistic": "sigmoid",
    "rectify": "relu",
    "absolute": "abs",
    "sgn": "sign",
    "minimum": "min",
    "maximum": "max",
    "ifelse": "where",
}


def nearest_primitive(name: str) -> str:
    """Return the hint that ends a message about a name that is no primitive.

    >>> nearest_primitive("swish")
    "did you mean 'silu'?"
    """
    same = _ELSEWHERE.get(name.lower())
    return choices(same or name, PRIMITIVES, "symact grammar primitives")

"""Suggest a primitive for an unknown name, including the names of other libraries."""

from __future__ import annotations

from symact.errors import choices
from symact.expr.primitives import PRIMITIVES

#: The primitive for each name that other libraries or papers use.
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
    """Return a hint about valid primitives, for the end of a message about an unknown name.

    >>> nearest_primitive("swish")
    "did you mean 'silu'?"
    """
    same = _ELSEWHERE.get(name.lower())
    return choices(same or name, PRIMITIVES, "symact grammar primitives")

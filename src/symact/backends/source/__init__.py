"""Generate source code in NumPy, JAX or C from an expression. The code does not need symact.

A language is a file of this folder and its entry in the table below.
"""

from __future__ import annotations

from symact.backends.source.base import Source
from symact.backends.source.c import C_SOURCE
from symact.backends.source.python import JAX_SOURCE, NUMPY_SOURCE
from symact.errors import SymactError, choices
from symact.expr import Expr, parameters, uses_statistics

_LANGUAGES: dict[str, Source] = {"numpy": NUMPY_SOURCE, "jax": JAX_SOURCE, "c": C_SOURCE}
#: The names of the supported languages.
LANGUAGES = tuple(_LANGUAGES)


def to_source(expr: Expr, language: str = "numpy", *, name: str = "activation") -> str:
    """Return the source code of a function that computes an expression.

    The function has one argument for each variable, in alphabetical order. In NumPy and JAX the
    arguments are arrays of any shape. In C they are of type ``double``. In NumPy and JAX a trained
    parameter is a further argument, p0, p1, ... in the order of :func:`.parameters`, with its
    initial value as the default.

    Args:
        expr: The expression.
        language: One of :data:`LANGUAGES`.
        name: The name of the function, an identifier.

    Raises:
        SymactError: The language is unknown, ``name`` is not an identifier, or the language cannot
            express batch statistics or trained parameters of the expression.

    Example:
        >>> from symact.expr import parse
        >>> print(to_source(parse("x*tanh(2*x)")))
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def activation(x):
            return x*np.tanh(2.0*x)
        <BLANKLINE>
    """
    if language not in _LANGUAGES:
        raise SymactError(f"unknown language '{language}'; {choices(language, LANGUAGES)}")
    if not name.isidentifier():
        raise SymactError(
            f"'{name}' is not a valid function name; use letters, digits and underscores"
        )
    source = _LANGUAGES[language]
    if uses_statistics(expr) and not source.has_statistics:
        raise SymactError(
            f"{language} source code supports single elements only; "
            "this function has batch statistics"
        )
    if parameters(expr) and not source.has_defaults:
        raise SymactError(
            f"{language} source code has no trained parameters; write their values as numbers"
        )
    return source.write(expr, name)

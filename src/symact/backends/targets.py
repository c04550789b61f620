"""Targets of the rules of primitives, for :func:`symact.expr.rules.emit`."""

from __future__ import annotations

from symact.expr.rules import FUNCTIONS, Target

_PLAIN = {name: f"{name}({{0}})" for name in FUNCTIONS}

#: Scalar functions for numba. ``like(a, ...)`` gives a literal the dtype of ``a``.
NUMBA = Target(
    {**_PLAIN, "sqrt": "np.sqrt({0})", "select": "select({0}, {1}, {2})"},
    number="like(a, {})",
    names={"inf": "like(a, np.inf)", "nan": "like(a, np.nan)"},
)

#: Functions of tensors for Triton. There ``-a`` is ``0 - a``, which is +0 for a = 0.
TRITON = Target(
    {
        **_PLAIN,
        "abs": "tl.abs({0})",
        "sqrt": "tl.sqrt({0})",
        "select": "tl.where({0}, {1}, {2})",
    },
    names={"inf": 'float("inf")', "nan": 'float("nan")'},
    has_sign=False,
)


def _arrays(module: str, special: str) -> Target:
    """Return the target of an array library with the names of NumPy and SciPy."""
    functions = {
        **{name: f"{module}.{name}({{0}})" for name in FUNCTIONS},
        "atan": f"{module}.arctan({{0}})",
        "erf": f"{special}.erf({{0}})",
        "erfc": f"{special}.erfc({{0}})",
        "bell": f"{module}.exp(-{module}.square({{0}}))",
        "select": f"{module}.where({{0}}, {{1}}, {{2}})",
    }
    return Target(functions, names={"inf": f"{module}.inf", "nan": f"{module}.nan"})


#: ``import numpy as np`` and ``from scipy import special``.
NUMPY = _arrays("np", "special")
#: ``import jax.numpy as jnp`` and ``from jax.scipy import special``.
JAX = _arrays("jnp", "special")

#: C99 with ``<math.h>``. All variables are ``double``; a comparison is an ``int``.
C = Target(
    {
        **_PLAIN,
        "abs": "fabs({0})",
        "bell": "exp(-({0})*({0}))",
        "select": "(({0}) ? ({1}) : ({2}))",
    },
    names={"inf": "INFINITY", "nan": "NAN"},
)

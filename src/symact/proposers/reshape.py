"""Mutations of a whole function that change its extrapolation more than its training.

The function hardly changes around 0, where most pre-activations are. Its width or its values far
from 0 change.
"""

from __future__ import annotations

import math
import random

from symact.expr import Expr, const, parse, substitute

#: Templates of the outer function and of its inner argument. ``f`` is the original function of
#: ``x``; ``g`` is the original function of the inner argument.
_FORMS = (
    # Dilation that keeps the slope. It is listed twice, because finding the best width needs many
    # steps.
    ("b*g", "a*x"),
    ("b*g", "a*x"),
    # A different slope beyond a knee, on the right or on the left.
    ("f + c*relu(x - d)", "x"),
    ("f + c*relu(-d - x)", "x"),
    # A shifted copy of the function.
    ("f + c*g", "x - d"),
)
_PARSED = tuple(
    (parse(outer, ("f", "g", "x", "a", "b", "c", "d")), parse(inner, ("x", "a", "d")))
    for outer, inner in _FORMS
)
#: Standard deviations of the logarithm of the width ``a`` and of the slope ``c``.
_WIDTH_STEPS, _SLOPE_STEP = (0.1, 0.3, 0.6), 0.5
#: Range of the position ``d`` of a knee or a copy: beyond most pre-activations in training.
_NEAREST, _FARTHEST = 2.0, 10.0


def reshape(expr: Expr, digits: int, rng: random.Random) -> Expr:
    """Return a random dilation, bend or shifted copy of a function.

    Args:
        expr: A function of ``x``.
        digits: Significant digits of the new literals.
        rng: Source of the random numbers.
    """
    outer, inner = rng.choice(_PARSED)
    a = math.exp(rng.gauss(0.0, rng.choice(_WIDTH_STEPS)))
    c = math.exp(rng.gauss(0.0, _SLOPE_STEP)) * rng.choice((-1, 1))
    d = math.exp(rng.uniform(math.log(_NEAREST), math.log(_FARTHEST)))
    values = {"a": a, "b": 1 / a, "c": c, "d": d}
    literals = {name: const(float(f"{v:.{digits - 1}e}")) for name, v in values.items()}
    argument = substitute(inner, literals)
    parts = {"f": expr, "g": substitute(expr, {"x": argument})}
    return substitute(outer, literals | parts)

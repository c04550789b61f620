"""Changes of a whole function that training hardly notices and extrapolation does.

What a function does near 0, where most pre-activations are, stays nearly as it was; how wide it is
or where it goes from there changes.
"""

from __future__ import annotations

import math
import random

from symact.expr import Expr, const, parse, substitute

#: Outer function and argument: ``f`` is the function, ``g`` the function of the argument.
_FORMS = (
    # Wider or narrower, as steep as before; twice, since the best width is met in small steps.
    ("b*g", "a*x"),
    ("b*g", "a*x"),
    # Another slope beyond a knee, on the right or on the left.
    ("f + c*relu(x - d)", "x"),
    ("f + c*relu(-d - x)", "x"),
    # The function again, further out: what rises falls again, or rises twice.
    ("f + c*g", "x - d"),
)
_PARSED = tuple(
    (parse(outer, ("f", "g", "x", "a", "b", "c", "d")), parse(inner, ("x", "a", "d")))
    for outer, inner in _FORMS
)
#: How far a width (a) and a slope (c) are from 1, as standard deviations of the logarithm.
_WIDTH_STEPS, _SLOPE_STEP = (0.1, 0.3, 0.6), 0.5
#: Where knees and echoes are (d): beyond most pre-activations of the training range.
_NEAREST, _FARTHEST = 2.0, 10.0


def reshape(expr: Expr, digits: int) -> Expr:
    """Return a function that is wider, or goes elsewhere from where it was, drawn at random.

    Args:
        expr: The function.
        digits: To which literals are rounded.
    """
    outer, inner = random.choice(_PARSED)
    a = math.exp(random.gauss(0.0, random.choice(_WIDTH_STEPS)))
    c = math.exp(random.gauss(0.0, _SLOPE_STEP)) * random.choice((-1, 1))
    d = math.exp(random.uniform(math.log(_NEAREST), math.log(_FARTHEST)))
    values = {"a": a, "b": 1 / a, "c": c, "d": d}
    literals = {name: const(float(f"{v:.{digits - 1}e}")) for name, v in values.items()}
    argument = substitute(inner, literals)
    parts = {"f": expr, "g": substitute(expr, {"x": argument})}
    return substitute(outer, literals | parts)

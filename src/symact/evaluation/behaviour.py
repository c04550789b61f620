"""The behaviour of a function in six coarse features: a cell of a quality-diversity archive.

The features depend only on the function's values, and not on the scale of the output. Equal
functions with different formulas therefore have the same behaviour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate_with_slopes
from symact.backends.sampling import BEHAVIOUR, BEHAVIOUR_FAR
from symact.expr import Expr, uses_statistics

Floats = NDArray[np.float64]

_CORE, _FAR = BEHAVIOUR.line, BEHAVIOUR_FAR.line
_EVERYWHERE: Floats = np.concatenate([_CORE, -_FAR, _FAR])
#: End indices of the core and of the left side in the list of points.
_LEFT, _RIGHT = len(_CORE), len(_CORE) + len(_FAR)
#: Value of the other inputs while one input varies. At 0 a product would vanish.
_OTHERS = 1.0
#: Tolerance for equal values, relative to the largest value on the core.
_EQUAL = 1e-3
#: Minimum jump of the slope between neighbouring points, relative to the steepest slope.
_KINK = 0.1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A cell of the archive.

    Attributes:
        left: Growth of ``|f(x)|`` for ``x -> -inf``: ``"flat"`` (bounded), ``"slow"`` (slower than
            a line), ``"line"`` or ``"fast"``.
        right: The same for ``x -> inf``.
        parity: ``"even"``, ``"odd"`` (about its value at 0) or ``"neither"``.
        turns: Number of sign changes of the slope on [-8, 8]: ``"0"``, ``"1"``, ``"2-3"``,
            ``"4+"``.
        bounded: Whether both sides are flat.
        smooth: Whether the slope has no jump on [-8, 8].
    """

    left: str
    right: str
    parity: str
    turns: str
    bounded: bool
    smooth: bool

    def __str__(self) -> str:
        parts = [
            f"{self.left} left",
            f"{self.right} right",
            self.parity if self.parity != "neither" else "",
            f"{self.turns} turns" if self.turns != "1" else "1 turn",
            "smooth" if self.smooth else "kinked",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def key(self) -> str:
        """A text that identifies the cell."""
        return "|".join(str(getattr(self, field.name)) for field in fields(self))


def behaviour(
    expr: Expr, *, inputs: tuple[str, ...] = ("x",), along: str | None = None
) -> Behaviour:
    """Return the behaviour of a function along one input. The other inputs are 1.

    A function with values that are not finite counts as fast growing.

    Args:
        expr: A function of the inputs.
        inputs: The names of the inputs.
        along: The input that varies; None for the first.

    Example:
        >>> from symact import parse
        >>> str(behaviour(parse("silu(x)")))
        'flat left, line right, 1 turn, smooth'
    """
    varied = along or inputs[0]
    arrays = [_EVERYWHERE if name == varied else np.full_like(_EVERYWHERE, _OTHERS)
              for name in inputs]  # fmt: skip
    with np.errstate(all="ignore"):
        value, slope = evaluate_with_slopes(expr, *arrays, inputs=inputs, wrt=varied)
        core, left, right = value[:_LEFT], value[_LEFT:_RIGHT], value[_RIGHT:]
        slopes = slope[:_LEFT]
        size = float(np.abs(core - core[len(core) // 2]).max())
        sides = [_growth(side, core, size) for side in (left, right)]
        return Behaviour(
            left=sides[0],
            right=sides[1],
            parity=_parity(core, size),
            turns=_turns(slopes),
            bounded=sides == ["flat", "flat"],
            smooth=_is_smooth(slopes),
        )


def _growth(side: Floats, core: Floats, size: float) -> str:
    """Return the class of the exponent p in ``abs(f) ~ x**p`` between 50 and 200."""
    if not (np.isfinite(side).all() and math.isfinite(size)):
        return "fast"
    swing = np.abs(side - core[len(core) // 2])
    is_small = swing.max() <= max(1.25 * size, 1e-12)
    if is_small or side.max() - side.min() <= _EQUAL * max(size, 1e-12):
        return "flat"
    half = len(side) // 2
    near, far = float(swing[:half].max()), float(swing[half:].max())
    exponent = math.log(max(far, 1e-300) / max(near, 1e-300)) / math.log(4.0)
    if exponent < 0.05:
        return "flat"
    return "slow" if exponent < 0.75 else "line" if exponent < 1.25 else "fast"


def _parity(core: Floats, size: float) -> str:
    if not math.isfinite(size):
        return "neither"
    centred = core - core[len(core) // 2]
    if np.abs(centred - centred[::-1]).max() <= _EQUAL * size:
        return "even"
    return "odd" if np.abs(centred + centred[::-1]).max() <= _EQUAL * size else "neither"


def _turns(slopes: Floats) -> str:
    steepest = float(np.fmax.reduce(np.abs(slopes), initial=0.0))
    signs = np.sign(slopes[np.abs(slopes) > _EQUAL * steepest])
    count = int((signs[1:] != signs[:-1]).sum())
    return str(count) if count < 2 else "2-3" if count < 4 else "4+"


def _is_smooth(slopes: Floats) -> bool:
    """Return whether the slope has no kink.

    A kink is a jump of the slope between neighbouring points that is many times the change on both
    sides. A steep bend extends over several points.
    """
    if not np.isfinite(slopes).all():
        return False
    change = np.abs(np.diff(slopes))
    steepest = float(np.abs(slopes).max())
    around = np.maximum(change[:-4], change[4:])
    change = change[2:-2]
    jumps = (change > _KINK * steepest) | ((change > 0.01 * steepest) & (change > 20 * around))
    return not bool(jumps.any())


def kind(expr: Expr, *, inputs: tuple[str, ...] = ("x",)) -> str:
    """Return the key of the behaviour along every input.

    All functions of batch statistics have the same key.
    """
    if uses_statistics(expr):
        return "statistics"
    return "; ".join(behaviour(expr, inputs=inputs, along=name).key for name in inputs)

"""The behaviour of a function in six coarse features, the cells of a quality-diversity archive.

The features are measured on values, so two formulas of one function have the same behaviour. They
do not depend on the scale of the output.
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
#: The ends of the core and of the left side among all points.
_LEFT, _RIGHT = len(_CORE), len(_CORE) + len(_FAR)
#: The value of the other inputs while one input varies; at 0 a product would vanish.
_OTHERS = 1.0
#: Within the largest value on the core, two values this close are equal.
_EQUAL = 1e-3
#: A slope that jumps by more than this part of the steepest one between neighbouring points.
_KINK = 0.1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A cell of the archive.

    Attributes:
        left: Where ``x -> -inf`` the size of the function is ``"flat"`` (bounded), ``"slow"``
            (grows, but slower than a line), ``"line"`` or ``"fast"``.
        right: The same for ``x -> inf``.
        parity: ``"even"``, ``"odd"`` (about its value at 0) or ``"neither"``.
        turns: How often the slope changes its sign on [-8, 8]: ``"0"``, ``"1"``, ``"2-3"``,
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
        """A text that two functions share if they behave alike."""
        return "|".join(str(getattr(self, field.name)) for field in fields(self))


def behaviour(
    expr: Expr, *, inputs: tuple[str, ...] = ("x",), along: str | None = None
) -> Behaviour:
    """Return how a function behaves along one input; the other inputs are 1.

    A function that is not finite counts as fast growing.

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
    """Classify by the exponent p of ``abs(f) ~ x**p`` between 50 and 200."""
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
    """Tell a kink from a steep bend: a bend spreads over several of the points.

    A jump between neighbours that is many times the change on both sides of it is a kink.
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

    Functions of batch statistics are a kind of their own.
    """
    if uses_statistics(expr):
        return "statistics"
    return "; ".join(behaviour(expr, inputs=inputs, along=name).key for name in inputs)

"""The first rung: is a candidate worth any training? Microseconds, in float64."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from symact.backends import evaluate_with_slopes
from symact.backends.sampling import GRID, fingerprint
from symact.expr import Expr

_CORE = np.abs(GRID) <= 4
_NEAR = np.abs(GRID) <= 8
#: Projects values on the core onto affine functions.
_LINE = np.stack([np.ones(int(_CORE.sum())), GRID[_CORE]], axis=1)
_ONTO_LINE = _LINE @ np.linalg.pinv(_LINE)

#: A steeper function makes training unstable whatever the learning rate.
MAX_SLOPE = 1e3


class Outcome(enum.StrEnum):
    """What became of a candidate in the screen."""

    PASSED = "passed"
    NON_FINITE = "non-finite"
    CONSTANT = "constant"
    AFFINE = "affine"
    FLAT = "flat"
    STEEP = "steep"
    DUPLICATE = "duplicate"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Screened:
    """The outcome with the fingerprint of the values (empty unless they are finite)."""

    outcome: Outcome
    fingerprint: str = ""


def screen(expr: Expr, *, max_slope: float = MAX_SLOPE) -> Screened:
    """Reject what cannot be trained: non-finite, constant, affine, flat or too steep."""
    with np.errstate(all="ignore"):
        value, slope = evaluate_with_slopes(expr, GRID)
    if not (np.isfinite(value).all() and np.isfinite(slope).all()):
        return Screened(Outcome.NON_FINITE)
    mark = fingerprint(value)
    core = value[_CORE]
    spread = float(np.ptp(core))
    if spread < 1e-4:
        return Screened(Outcome.CONSTANT, mark)
    if float(np.abs(core - _ONTO_LINE @ core).max()) < 1e-3 * spread:
        return Screened(Outcome.AFFINE, mark)
    if float(np.abs(slope[_CORE]).max()) < 1e-6:
        return Screened(Outcome.FLAT, mark)
    if float(np.abs(slope[_NEAR]).max()) > max_slope:
        return Screened(Outcome.STEEP, mark)
    return Screened(Outcome.PASSED, mark)

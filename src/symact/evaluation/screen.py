"""The screen: reject functions that cannot train, by their values and slopes in float64."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate_with_slopes
from symact.backends.sampling import SCREEN, fingerprint
from symact.expr import Expr

#: Where pre-activations usually are, and where a large slope makes training unstable.
_CORE = np.abs(SCREEN.line) <= 4
_NEAR = np.abs(SCREEN.line) <= 8

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


def screen(
    expr: Expr, *, max_slope: float = MAX_SLOPE, inputs: tuple[str, ...] = ("x",)
) -> Screened:
    """Reject what cannot be trained: non-finite, constant, affine, flat or too steep.

    Args:
        expr: A function of the inputs.
        max_slope: The largest slope that passes, by any input, where no input exceeds 8.
        inputs: The names of the inputs.

    Example:
        >>> from symact import parse
        >>> screen(parse("2*x + 1")).outcome.value
        'affine'
    """
    points = SCREEN.points(len(inputs))
    with np.errstate(all="ignore"):
        pairs = [evaluate_with_slopes(expr, *points, inputs=inputs, wrt=name) for name in inputs]
    value, slopes = pairs[0][0], np.stack([slope for _, slope in pairs])
    if not (np.isfinite(value).all() and np.isfinite(slopes).all()):
        return Screened(Outcome.NON_FINITE)
    mark = fingerprint(value)
    core = value[_CORE]
    spread = float(np.ptp(core))
    if spread < 1e-4:
        return Screened(Outcome.CONSTANT, mark)
    if float(np.abs(core - _onto_affine(len(inputs)) @ core).max()) < 1e-3 * spread:
        return Screened(Outcome.AFFINE, mark)
    if float(np.abs(slopes[:, _CORE]).max()) < 1e-6:
        return Screened(Outcome.FLAT, mark)
    if float(np.abs(slopes[:, _NEAR]).max()) > max_slope:
        return Screened(Outcome.STEEP, mark)
    return Screened(Outcome.PASSED, mark)


@functools.cache
def _onto_affine(inputs: int) -> NDArray[np.float64]:
    """Return the projection of values on the core, ``[point, point]``, onto affine functions."""
    core = SCREEN.points(inputs)[:, _CORE]
    design = np.stack([np.ones(core.shape[1]), *core], axis=1)
    return np.asarray(design @ np.linalg.pinv(design))

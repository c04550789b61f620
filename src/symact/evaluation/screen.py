"""The screen: reject functions that cannot train, by their values and slopes in float64."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate, evaluate_with_slopes
from symact.backends.sampling import SCREEN, SKEWED, fingerprint, mirror_key, opposite
from symact.expr import Expr, const, parameters, uses_statistics, with_parameters

#: Where pre-activations usually are, and where a large slope makes training unstable.
_CORE = np.abs(SCREEN.line) <= 4
_NEAR = np.abs(SCREEN.line) <= 8

#: A steeper function makes training unstable at every learning rate.
MAX_SLOPE = 1e3


class Outcome(enum.StrEnum):
    """The outcome of the screen for a candidate."""

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
    """The outcome of the screen.

    Attributes:
        outcome: The outcome.
        fingerprint: Fingerprint of the function values; empty unless they are finite.
        mirror_key: Key that a function shares with its mirror images; empty unless it was asked
            for and the candidate passed.
    """

    outcome: Outcome
    fingerprint: str = ""
    mirror_key: str = ""

    @property
    def keys(self) -> set[str]:
        """The fingerprint and the mirror key. Candidates that share one are duplicates."""
        return {self.fingerprint, self.mirror_key} - {""}


def screen(
    expr: Expr,
    *,
    max_slope: float = MAX_SLOPE,
    inputs: tuple[str, ...] = ("x",),
    mirrors: bool = False,
) -> Screened:
    """Reject functions that cannot be trained: non-finite, constant, affine, flat or too steep.

    Trained parameters have their initial values. The keys also depend on the values at other
    parameters, so ``x*sigmoid(param(1)*x)`` is no duplicate of SiLU.

    Args:
        expr: A function of the inputs.
        max_slope: The largest slope that passes, by any input, where no input exceeds 8.
        inputs: The names of the inputs.
        mirrors: Whether to compute the key of the mirror images -f(x), f(-x) and -f(-x), for
            activation functions of one input. Initial weights have a symmetric distribution, and a
            network with mirrored activations has the mirrored gradients. Training mirror images
            therefore gives results of the same distribution. Scaled functions differ: they change
            the size of the gradients.

    Example:
        >>> from symact import parse
        >>> screen(parse("2*x + 1")).outcome.value
        'affine'
        >>> one, other = (screen(parse(f), mirrors=True) for f in ("x - gelu(x)", "gelu(x)"))
        >>> one.mirror_key == other.mirror_key
        True
    """
    points = SCREEN.points(len(inputs))
    with np.errstate(all="ignore"):
        pairs = [evaluate_with_slopes(expr, *points, inputs=inputs, wrt=name) for name in inputs]
    value, slopes = pairs[0][0], np.stack([slope for _, slope in pairs])
    if not (np.isfinite(value).all() and np.isfinite(slopes).all()):
        return Screened(Outcome.NON_FINITE)
    outcome = _outcome(value, slopes, max_slope)
    moved = [_on_grid(own, points, inputs) for own in _moved(expr)]
    skewed = [_on_skewed(own, inputs) for own in (expr, *_moved(expr)) if uses_statistics(own)]
    own = Screened(outcome, fingerprint(np.concatenate([value, *moved, *skewed])))
    if not mirrors or outcome is not Outcome.PASSED or len(inputs) > 1:
        return own
    images = [opposite(values) for values in (value, *moved)]
    if skewed:
        images += [_on_skewed(own, inputs, -1.0) for own in (expr, *_moved(expr))]
    key = mirror_key(np.concatenate([value, *moved, *skewed]), np.concatenate(images))
    return replace(own, mirror_key=key)


def _moved(expr: Expr) -> list[Expr]:
    """Return an expression with other values of its trained parameters; none without parameters."""
    trained = [own.parameter for own in parameters(expr)]
    others = [const(initial + 0.3 + 0.17 * index) for initial, index in trained]
    return [with_parameters(expr, others)] if trained else []


def _on_grid(
    expr: Expr, points: NDArray[np.float64], inputs: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return values on the grid of the screen, ``[point]``; 0 where they are not finite."""
    with np.errstate(all="ignore"):
        values = evaluate(expr, *points, inputs=inputs)
    return np.nan_to_num(values, posinf=0.0, neginf=0.0)


def _on_skewed(expr: Expr, inputs: tuple[str, ...], sign: float = 1.0) -> NDArray[np.float64]:
    """Return values on the asymmetric sample, or on its mirror image, ``[point]``.

    The statistics of many functions vanish on the symmetric grid of the screen. There
    ``gelu(x) + mean(x)`` has the values of GELU.
    """
    with np.errstate(all="ignore"):
        values = evaluate(expr, *(sign * SKEWED.points(len(inputs))), inputs=inputs)
    return np.nan_to_num(values)


def _outcome(value: NDArray[np.float64], slopes: NDArray[np.float64], max_slope: float) -> Outcome:
    """Return the outcome for finite values, ``[point]``, and slopes, ``[input, point]``."""
    core = value[_CORE]
    spread = float(np.ptp(core))
    if spread < 1e-4:
        return Outcome.CONSTANT
    if float(np.abs(core - _onto_affine(len(slopes)) @ core).max()) < 1e-3 * spread:
        return Outcome.AFFINE
    if float(np.abs(slopes[:, _CORE]).max()) < 1e-6:
        return Outcome.FLAT
    if float(np.abs(slopes[:, _NEAR]).max()) > max_slope:
        return Outcome.STEEP
    return Outcome.PASSED


@functools.cache
def _onto_affine(inputs: int) -> NDArray[np.float64]:
    """Return the projection of values on the core, ``[point, point]``, onto affine functions."""
    core = SCREEN.points(inputs)[:, _CORE]
    design = np.stack([np.ones(core.shape[1]), *core], axis=1)
    return np.asarray(design @ np.linalg.pinv(design))

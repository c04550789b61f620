r"""Correct an activation function by the entropy of its output.

The criterion is that of Sun et al. 2024 (A Method on Searching Better Activation Functions, arXiv
2405.12954; EAFO, CRReLU). Pre-activations are N(0, 1) with density p. Let y be the inverse of the
activation. The output has the density q(u) = p(y(u)) y'(u). Its entropy is the functional
H[y] = -\int p(y) y' ln(p(y) y') du, with the first variation along eta

    dH = \int (p'(y) y' + p(y) y''/y') eta du.

The direction of steepest descent is eta = -(p'(y) y' + p(y) y''/y'). For the activation f itself,
y' = 1/f' and y'' = -f''/f'^3. To first order, a change d of the inverse changes f by -f' d. Hence

    H[f] = \int p ln(|f'|/p) dx,    dH/deps [f + eps g] = \int p g'/f' dx,
    g = sgn(f') (x + f''/f') exp(-x^2/2).

g is the correction of f, without the constant of p. To first order, eps > 0 raises the entropy of
the output and eps < 0 lowers it by the same amount. For the identity, and for the active piece of
ReLU, g = x exp(-x^2/2). CRReLU is ReLU + eps x exp(-x^2/2), with eps trained from 0.01.

Flat pieces: ReLU has no inverse on its flat piece. CRReLU uses the correction of the active piece
there. This is also the limit of a linear piece with vanishing slope, where f''/f' is 0. This module
uses that limit for all functions.

Stationary points: if f' is 0 at a point, g has a pole there. For such functions (GELU, SiLU, sin),
the form ``"held"`` keeps the stationary points. It measures the change by the mean square of g/f'^2
instead of g/|f'|^(1/2). The result is

    g = s^-3 f'^2 (x f' + f'') exp(-x^2/2),    dH/deps = s^-3 \int p exp(-x^2/2) (x f' + f'')^2 dx.

It has no pole, dH/deps is never negative, and g is the same for the identity. s is the root mean
square of f' under N(0, 1). It makes g independent of the scale of f, as in the paper. This form is
not in the paper.

For a function that is not monotone, H[f] is the entropy of the output plus the mean conditional
entropy of the input given the output. Flat pieces are excluded from H: ln|f'| is -inf there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.backends import collected, derivative, evaluate, evaluate_with_slopes, log_slope
from symact.backends.sampling import ENTROPY_CELLS, ENTROPY_FINE, ENTROPY_PROBE
from symact.backends.simplify import TimeUp, simplify, time_limit
from symact.errors import SymactError
from symact.expr import Expr, call, const, parameters, parse, show, uses_statistics, var

#: The initial value of the trained eps of CRReLU.
EPS = 0.01

FORMS = ("inverse", "held")

#: The limit of integrals. The mass of N(0, 1) outside is 2e-23.
_RANGE = float(ENTROPY_CELLS.line[-1])
#: A smaller limit. An integral with a different value up to this limit diverges.
_NEARER = 8.0
_WHOLE = ((-_RANGE, _RANGE),)
_CELLS, _FINE, _PROBE = ENTROPY_CELLS.line, ENTROPY_FINE.line, ENTROPY_PROBE.line

#: The time limit of sympy in seconds, to cancel common factors of f' and f''.
_SECONDS = 3.0

_BELL = parse("exp(-0.5*x**2)")


@dataclass(frozen=True, slots=True)
class Entropy:
    """The entropy functional of a function of N(0, 1).

    Attributes:
        value: The entropy in nats over the inputs with nonzero slope; -inf if there are none.
        active: The probability of inputs with nonzero slope.
    """

    value: float
    active: float


@dataclass(frozen=True, slots=True)
class Correction:
    """A function with its correction.

    Attributes:
        base: The original function.
        term: The correction g, without eps.
        eps: The factor of the correction.
        expr: The corrected function, base + eps g.
        form: ``"inverse"`` for the form of the paper, or ``"held"``.
        stationary: The points within [-10, 10] at which the slope of ``base`` is 0.
        entropy: The entropy of ``base``.
        corrected_entropy: The entropy of ``expr`` over the inputs with nonzero slope of ``base``.
        slope: The derivative of ``corrected_entropy`` with respect to eps at 0, possibly inf.
    """

    base: Expr
    term: Expr
    eps: float
    expr: Expr
    form: str
    stationary: tuple[float, ...]
    entropy: Entropy
    corrected_entropy: float
    slope: float


def entropy(expr: Expr, *, where: Expr | None = None) -> Entropy:
    """Return the entropy functional of a function of N(0, 1), by adaptive quadrature.

    Args:
        expr: A pointwise function of x.
        where: The function whose flat pieces are excluded; None for ``expr`` itself.

    Raises:
        SymactError: The function has batch statistics, or is not finite within [-10, 10].

    Example:
        >>> round(entropy(parse("2*x")).value, 4)  # ln(2 sqrt(2 pi e))
        2.1121
    """
    _check(expr)
    parts = _active(expr if where is None else where)

    def integrand(x: float) -> float:
        size, density = abs(_slope_at(expr, x)), _density(x)
        return density * (math.log(size) - math.log(density)) if size > 0 else 0.0

    active = sum(_mass(high) - _mass(low) for low, high in parts)
    if not parts:
        return Entropy(-math.inf, 0.0)
    breaks = sorted({point for own in (expr, where) if own is not None for point in _turns(own)})
    return Entropy(_integral(integrand, parts, breaks), active)


def correct(expr: Expr, *, eps: float = EPS, form: str | None = None) -> Correction:
    """Derive the correction of a function. The module states the derivation.

    Args:
        expr: A pointwise function of x.
        eps: The factor of the correction. A negative factor lowers the entropy.
        form: ``"inverse"`` or ``"held"``. None chooses ``"inverse"`` for monotone functions without
            stationary points.

    Raises:
        SymactError: The function has batch statistics or trained parameters, is flat everywhere, or
            has no derivative in the expression language. Or the form is not finite for it.

    Example:
        >>> str(correct(parse("relu(x)")).expr)
        'relu(x) + 0.01*x*exp(-0.5*x**2)'
    """
    _check(expr)
    if form is not None and form not in FORMS:
        raise SymactError(f"unknown form '{form}'; known: {', '.join(FORMS)}")
    if not math.isfinite(eps):
        raise SymactError(f"eps must be finite, got {eps}")
    parts = _active(expr)
    if not parts:
        raise SymactError(f"'{show(expr)}' is flat everywhere: its entropy has no variation")
    signs = {sign for part in parts for sign in np.sign(_slopes(expr, _inside(part))).tolist()}
    signs.discard(0.0)  # at kinks
    stationary = _stationary(expr)
    monotone = len(signs) == 1 and not stationary
    if form == "inverse" and not monotone:
        points = ", ".join(f"{x:.4g}" for x in stationary[:4]) or "a kink"
        raise SymactError(
            f"'{show(expr)}' is not strictly monotone (at {points}), so the form 'inverse' has a "
            "pole; use the form 'held'"
        )
    chosen = form or ("inverse" if monotone else "held")
    factor = _symbolic(expr, chosen, signs.pop() if chosen == "inverse" else 1.0)
    term = _times_bell(factor)
    corrected = call("add", expr, _times_bell(call("mul", const(eps), factor)))
    for result in (term, corrected):
        _check_finite(expr, result)
    base = entropy(expr)
    return Correction(
        base=expr,
        term=term,
        eps=eps,
        expr=corrected,
        form=chosen,
        stationary=stationary,
        entropy=base,
        corrected_entropy=entropy(corrected, where=expr).value,
        slope=_variation(expr, term, parts),
    )


def _symbolic(expr: Expr, form: str, sign: float) -> Expr:
    """Return the correction without the factor exp(-x^2/2)."""
    factor = _held(expr) if form == "held" else call("add", var(), _ratio(expr))
    short = simplify(factor, seconds=2.0)
    return call("neg", short) if sign < 0 else short


def _ratio(expr: Expr) -> Expr:
    """Return f''/f', 0 on flat pieces, in a short form if sympy finds one in time."""
    with suppress(TimeUp), time_limit(_SECONDS):
        return log_slope(expr)
    slope = derivative(expr)
    ratio = call("div", derivative(slope), slope)
    return call("where", call("gt", call("abs", slope), const(0)), ratio, const(0))


def _held(expr: Expr) -> Expr:
    slope = collected(derivative(expr))
    curved = collected(call("add", call("mul", var(), slope), derivative(slope)))
    cube = _integral(lambda x: _density(x) * _slope_at(expr, x) ** 2, _WHOLE, _turns(expr)) ** 1.5
    scaled = call("mul", const(float(f"{1 / cube:.6g}")), call("square", slope))
    return call("mul", scaled, curved)


def _times_bell(factor: Expr) -> Expr:
    # The order of factors in the paper: eps*x*exp(-x^2/2).
    return call("mul", factor, _BELL)


def _check(expr: Expr) -> None:
    if uses_statistics(expr):
        raise SymactError(
            f"'{show(expr)}' has batch statistics; the entropy is defined only for pointwise "
            "functions"
        )
    if parameters(expr):
        raise SymactError(f"'{show(expr)}' has trained parameters; write numbers in their place")
    with np.errstate(all="ignore"):
        value, slope = evaluate_with_slopes(expr, _FINE)
        at_cells = evaluate(expr, _CELLS)  # poles are likely at round numbers
    points = np.concatenate([_CELLS, _FINE])
    finite = np.concatenate([np.isfinite(at_cells), np.isfinite(value) & np.isfinite(slope)])
    if not finite.all():
        x = float(points[int(np.argmin(finite))])
        raise SymactError(f"'{show(expr)}' is not finite, or not smooth, at x = {x:.4g}")


def _check_finite(expr: Expr, result: Expr) -> None:
    with np.errstate(all="ignore"):
        value = evaluate(result, _PROBE)
    if not np.isfinite(value).all():
        x = float(_PROBE[int(np.argmin(np.isfinite(value)))])
        raise SymactError(
            f"the correction of '{show(expr)}' is not finite at x = {x:.4g}; try the form 'held'"
        )


# The slope, numerically.


def _slope_at(expr: Expr, x: float) -> float:
    return float(evaluate_with_slopes(expr, np.array([x]))[1][0])


def _slopes(expr: Expr, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return evaluate_with_slopes(expr, x)[1]


def _turns(expr: Expr) -> list[float]:
    """Return the points at which the sign of the slope (-1, 0 or 1) changes, by bisection."""
    signs = np.sign(_slopes(expr, _FINE))
    found = []
    for i in np.flatnonzero(signs[1:] != signs[:-1]):
        low, high, left = float(_FINE[i]), float(_FINE[i + 1]), signs[i]
        for _ in range(60):
            middle = 0.5 * (low + high)
            if np.sign(_slope_at(expr, middle)) == left:
                low = middle
            else:
                high = middle
        found.append(high)
    return found


def _active(expr: Expr) -> list[tuple[float, float]]:
    """Return the intervals within [-10, 10] with nonzero slope."""
    ends = [-_RANGE, *_turns(expr), _RANGE]
    parts: list[tuple[float, float]] = []
    for low, high in itertools.pairwise(ends):
        # The midpoint may be a kink, so test another point.
        if high - low < 1e-9 or _slope_at(expr, low + 0.4817 * (high - low)) == 0:
            continue
        if parts and low - parts[-1][1] < 1e-9:
            parts[-1] = (parts[-1][0], high)
        else:
            parts.append((low, high))
    return parts


def _inside(part: tuple[float, float]) -> NDArray[np.float64]:
    return np.linspace(*part, 2003)[1:-1]


def _stationary(expr: Expr) -> tuple[float, ...]:
    """Return the isolated points at which the slope is 0 and one-sidedly continuous."""
    from scipy.optimize import minimize_scalar

    sizes = np.abs(_slopes(expr, _FINE))
    candidates = _turns(expr)
    for i in np.flatnonzero((sizes[1:-1] <= sizes[:-2]) & (sizes[1:-1] < sizes[2:])) + 1:
        low, high = float(_FINE[i - 1]), float(_FINE[i + 1])
        best = minimize_scalar(
            lambda x: abs(_slope_at(expr, float(x))), bounds=(low, high), method="bounded"
        )
        candidates += [float(_FINE[i]) if sizes[i] == 0 else float(best.x)]
    found: list[float] = []
    for point in sorted(candidates):
        if _vanishes(expr, point) and (not found or point - found[-1] > 2 * _STEP):
            found.append(round(point, 9) + 0.0)
    return tuple(found)


#: The distance between points of the fine grid.
_STEP = float(_FINE[1] - _FINE[0])


def _vanishes(expr: Expr, point: float) -> bool:
    """Whether the slope tends to 0 at a point. False for a jump or a small nonzero slope."""
    x = point + np.array([-1e-6, 1e-6, -_STEP, _STEP])
    sizes = np.abs(_slopes(expr, x))
    return bool(0 < sizes[:2].max() < 1e-3 * sizes[2:].max())


# Integrals under N(0, 1).


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _mass(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _integral(
    integrand: Callable[[float], float], parts: Sequence[tuple[float, float]], breaks: list[float]
) -> float:
    from scipy.integrate import quad

    total = 0.0
    for low, high in parts:
        edges = [low, *sorted({x for x in (*_CELLS, *breaks) if low < x < high}), high]
        for a, b in itertools.pairwise(edges):
            value, error, *_ = quad(
                integrand, a, b, limit=200, epsabs=1e-11, epsrel=1e-9, full_output=1
            )
            if not error < 1e-5 * (1 + abs(value)):
                raise SymactError(f"the entropy integral does not converge near x = {a:.4g}")
            total += float(value)
    return total


def _variation(expr: Expr, term: Expr, parts: Sequence[tuple[float, float]]) -> float:
    """Return the derivative of the entropy of expr + eps term with respect to eps at 0.

    It is infinite if the slope vanishes faster than the square of the density, as for erf.
    """

    def integrand(x: float) -> float:
        slope = _slope_at(expr, x)
        return _density(x) * _slope_at(term, x) / slope if slope else 0.0

    breaks = _turns(expr)
    nearer = [(max(a, -_NEARER), min(b, _NEARER)) for a, b in parts]
    with suppress(SymactError):
        value = _integral(integrand, parts, breaks)
        inner = _integral(integrand, [part for part in nearer if part[0] < part[1]], breaks)
        if abs(value - inner) <= 1e-3 * abs(value) + 1e-9:
            return value
    return math.inf


def to_json(correction: Correction, name: str) -> dict[str, Any]:
    """Return a correction as JSON values. An infinite slope becomes None."""
    return {
        "name": name,
        "base": show(correction.base),
        "form": correction.form,
        "term": show(correction.term),
        "eps": correction.eps,
        "corrected": show(correction.expr),
        "stationary": list(correction.stationary),
        "active": correction.entropy.active,
        "entropy": correction.entropy.value,
        "corrected_entropy": correction.corrected_entropy,
        "entropy_slope": correction.slope if math.isfinite(correction.slope) else None,
    }


#: Descriptions of the forms.
_FORM_NAMES = {
    "inverse": "(x + f''/f')*exp(-x**2/2): variation of the inverse function (Sun et al. 2024)",
    "held": "c*f'**2*(x*f' + f'')*exp(-x**2/2): keeps the stationary points",
}


def to_text(correction: Correction, name: str) -> str:
    """Return a correction as readable text."""
    base, active = correction.entropy, correction.entropy.active
    rows = {
        "base": show(correction.base),
        "correction": show(correction.term),
        "corrected": show(correction.expr),
        "form": _FORM_NAMES[correction.form],
        "stationary": ", ".join(f"{x:.4g}" for x in correction.stationary[:6]),
        "entropy": f"{base.value:.6f} nats, corrected {correction.corrected_entropy:.6f}",
        "slope": f"{correction.slope:.6g} nats per unit of eps, at eps = 0",
        "active": "" if active > 0.9995 else f"the slope is not 0 for {active:.1%} of N(0, 1)",
    }
    lines = [name, *(f"  {key:10}  {text}" for key, text in rows.items() if text)]
    return "\n".join(lines)

"""Recognise known functions by their values.

:func:`recognise` finds a known function up to scaling and sign of input and output. The layers
before and after an activation can absorb both factors. It also fits the trained parameters of
learnable functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.backends import evaluate, evaluate_with_slopes
from symact.backends.sampling import OCTAVE, RECOGNITION, RECOGNITION_SIDE
from symact.expr import Expr, const, parse, show, substitute, uses_statistics, variables
from symact.zoo import Known

Floats = NDArray[np.float64]

#: Limits of the input scale b in f(x) = a g(b x).
LEAST, MOST = 1 / 16, 16.0

#: Values are compared on a logarithmic grid with 32 points per octave, on both sides of 0.
_OCTAVE = OCTAVE
_SIDE = RECOGNITION_SIDE.line
_GRID = RECOGNITION.line
#: Coarse shifts of the logarithmic grid, in points.
_SHIFTS = range(-4 * _OCTAVE, 4 * _OCTAVE + 1, 2)
#: The number of points for the search of a scale. Beyond 8 the grid is too coarse for oscillations.
_NEAR = 11 * _OCTAVE
#: The number of candidates to fit.
_MOST_FITS = 16
#: Tolerances relative to neighbouring values, and to the largest value.
_RELATIVE, _ABSOLUTE = 1e-7, 1e-12
#: Functions with more trained parameters are excluded: they can imitate other functions.
_MOST_PARAMETERS = 3


@dataclass(frozen=True, slots=True)
class Recognised:
    """A known function g with scales: f(x) = output * g(input * x).

    Attributes:
        known: The entry of g in the zoo.
        output: The output scale.
        input: The input scale; 1 if g is homogeneous.
        parameters: Pairs of name and value of the fitted parameters.
    """

    known: Known
    output: float
    input: float
    parameters: tuple[tuple[str, float], ...] = ()

    @property
    def expr(self) -> Expr:
        """The formula of g with the fitted parameters."""
        return self.known.with_constants(**dict(self.parameters)).expr

    def __str__(self) -> str:
        factor = "" if self.output == 1 else "-" if self.output == -1 else f"{self.output:.4g}*"
        inner = "x" if self.input == 1 else "-x" if self.input == -1 else f"{self.input:.4g}*x"
        bare = self.output == 1 and self.input == 1
        name = self.known.name if bare else f"{factor}{self.known.name}({inner})"
        fitted = ", ".join(f"{key} = {value:.6g}" for key, value in self.parameters)
        return f"{name} with {fitted}" if fitted else name


def recognise(expr: Expr) -> Recognised | None:
    """Return the known function that equals an expression up to scaling and sign, or None.

    Values are compared to seven digits for |x| from 1/256 to 64, with input scales from 1/16 to 16.
    Trained parameters of entries are fitted without scaling, for entries with at most three
    parameters. Those of the expression have their initial values.

    Args:
        expr: A function of x.

    Returns:
        The function with its scales. None if there is none, or if the expression is a straight
        line, has several inputs, or has batch statistics.

    Example:
        >>> str(recognise(parse("x - gelu(x)")))
        '-GELU(-x)'
        >>> str(recognise(parse("relu(x) + 0.05*x*exp(-0.5*x**2)")))
        'CRReLU with eps = 0.05'
    """
    if uses_statistics(expr) or set(variables(expr)) - {"x"}:
        return None
    with np.errstate(all="ignore"):
        values = evaluate(expr, _GRID)
        if not np.isfinite(values[np.abs(_GRID) <= 1]).all() or _is_line(values):
            return None
        return _unscaled(values) or _scaled(expr, values) or _parametrised(values)


def _unscaled(values: Floats) -> Recognised | None:
    """Return the function with these values, up to a factor and a mirror image."""
    zoo_ = _catalogue()
    plain = [
        Recognised(known, _snap(output), factor)
        for factor, table in ((1.0, zoo_.values), (-1.0, zoo_.values[:, ::-1]))
        for known, row in zip(zoo_.known, table, strict=True)
        if (output := _output(values, row)) is not None
    ]
    return min(plain, key=lambda one: (one.input != 1, one.output != 1), default=None)


def _scaled(expr: Expr, values: Floats) -> Recognised | None:
    """Return the function with these values at another input scale."""
    zoo_ = _catalogue()
    fitted = (
        _fitted(expr, values, zoo_.known[index], factor)
        for index, factor in sorted(_likely(values, zoo_))
    )
    # One function may have several names: prefer simple scales, then the order of the catalogue.
    return min(filter(None, fitted), key=_oddness, default=None)


# Trained parameters.


@cache
def _families() -> tuple[Known, ...]:
    """Return the learnable functions with few trained parameters, short formulas first."""
    few = [
        known
        for known in zoo.known()
        if known.kind == "learnable" and 1 <= len(known.learnable) <= _MOST_PARAMETERS
    ]
    return tuple(sorted(few, key=lambda known: len(known.parametric or "")))


def _parametrised(values: Floats) -> Recognised | None:
    """Return the learnable function with these values at other parameters."""
    for known in _families():
        for sign, image in ((1.0, values), (-1.0, -values[::-1])):
            fitted = _with_parameters(image, known)
            if fitted is not None:
                return Recognised(known, sign, sign, fitted)
    return None


def _with_parameters(values: Floats, known: Known) -> tuple[tuple[str, float], ...] | None:
    """Fit the trained parameters of an entry. Return None if the values do not agree."""
    from scipy.optimize import least_squares

    names = known.learnable
    at = np.flatnonzero(np.abs(_GRID) <= 8)[::13]
    x, wanted = _GRID[at], values[at]
    if not np.isfinite(wanted).all():
        return None
    size = 1e-3 + np.abs(wanted)
    expr, inputs = _parametric(known.name), ("x", *names)

    def misfit(parameters: Floats) -> Floats:
        gap = (evaluate(expr, x, *parameters, inputs=inputs) - wanted) / size
        return np.nan_to_num(gap, nan=_FAR, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR)

    def slopes(parameters: Floats) -> Floats:
        columns = [
            evaluate_with_slopes(expr, x, *parameters, inputs=inputs, wrt=name)[1] for name in names
        ]
        found = np.stack(columns, axis=1) / size[:, None]
        found[(np.abs(misfit(parameters)) == _FAR) | ~np.isfinite(found).all(axis=1)] = 0.0
        return found

    default = np.array([known.parameters[name] for name in names])
    for start in (default, 0.5 * default + 0.2):
        fit = least_squares(misfit, start, slopes, max_nfev=14)
        if fit.cost > _LARGEST_COST * len(at):
            continue
        fit = least_squares(misfit, fit.x, slopes, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=60)
        for digits in (2, 3, 4, 6, 17):
            rounded = np.array([float(f"{value:.{digits}g}") for value in fit.x])
            given = tuple(zip(names, rounded.tolist(), strict=True))
            if _agree(values, evaluate(known.with_constants(**dict(given)).expr, _GRID)):
                return given
    return None


#: Half of the mean squared relative error above which a coarse fit is rejected.
_LARGEST_COST = 1e-5


#: The largest absolute relative error that a fit sees.
_FAR = 1e3


@cache
def _parametric(name: str) -> Expr:
    """Return the formula in x and the trained parameters; the others have their values."""
    known = zoo.find(name)
    expr = parse(known.parametric or "x", ("x", *known.parameters))
    fixed = {name: const(v) for name, v in known.parameters.items() if name not in known.learnable}
    return substitute(expr, fixed)


def _oddness(found: Recognised) -> tuple[bool, int]:
    return abs(found.output) != 1, len(f"{abs(found.input):.9g}{abs(found.output):.9g}")


def called(expr: Expr) -> str:
    """Return the name of a known function with its scales, or else the formula."""
    found = recognise(expr)
    return show(expr) if found is None else str(found)


@dataclass(frozen=True, slots=True)
class _Catalogue:
    known: tuple[Known, ...]
    values: Floats  # [function, point of the grid]
    features: Floats  # [function, feature, point of one side]


@cache
def _catalogue() -> _Catalogue:
    known = tuple(k for k in zoo.known() if not k.statistics and k.name != "identity")
    values = np.stack([evaluate(k.expr, _GRID) for k in known])
    return _Catalogue(known, values, np.stack([_features(own) for own in values]))


def _features(values: Floats) -> Floats:
    """Return features that output scaling preserves and input scaling shifts.

    They are the direction of the vector (f(x), f(-x)), two numbers, and the exponent of its growth.
    """
    count = len(_SIDE)
    right, left = values[count + 1 :], values[count - 1 :: -1]
    size = np.hypot(right, left)
    usable = np.isfinite(size) & (size > 0)
    safe = np.where(usable, size, 1.0)
    growth = np.gradient(np.log(safe)) * _OCTAVE / np.log(2.0)
    found = np.stack([right / safe, left / safe, np.clip(growth, -4, 4) / 4])
    return np.where(usable, found, 0.0)


def _likely(values: Floats, zoo_: _Catalogue) -> list[tuple[int, float]]:
    """Return the indices of the most similar functions with their input scales, best first."""
    own, others, count = _features(values)[:, :_NEAR], zoo_.features, len(_SIDE)
    scored: list[tuple[float, int, float]] = []
    for shift in _SHIFTS:
        low, high = max(0, -shift), min(_NEAR, count - shift)
        if high - low < 5 * _OCTAVE:
            continue  # similarity on a short overlap is not significant
        a, b = own[:, low:high], others[:, :, low + shift : high + shift]
        straight = b[:, 0] @ a[0] + b[:, 1] @ a[1]
        turned = b[:, 1] @ a[0] + b[:, 0] @ a[1]
        growth = np.square(b[:, 2] - a[2]).sum(axis=1)
        norms = np.square(a[:2]).sum() + np.square(b[:, :2]).sum(axis=(1, 2))
        factor = float(2.0 ** (shift / _OCTAVE))
        for alike, sign in ((straight, 1.0), (turned, -1.0)):
            misfit = (norms - 2 * np.abs(alike) + growth) / (high - low)
            for index in np.argsort(misfit)[:_MOST_FITS]:
                scored.append((float(misfit[index]), int(index), sign * factor))
    scored.sort()
    chosen: dict[int, float] = {}
    for _, index, factor in scored:
        chosen.setdefault(index, factor)
    return list(chosen.items())[:_MOST_FITS]


def _fitted(expr: Expr, values: Floats, known: Known, factor: float) -> Recognised | None:
    """Fit the input scale, starting from ``factor``. Return None if the values do not agree."""
    from scipy.optimize import minimize_scalar

    x = _GRID[np.abs(_GRID) <= _SIDE[_NEAR]][::2]
    own = evaluate(expr, x)
    weight = 1.0 / (np.square(own) + np.square(own[::-1]) + 1e-12)

    def misfit(log_factor: float) -> float:
        other = evaluate(known.expr, np.sign(factor) * 2.0**log_factor * x)
        good = np.isfinite(other) & np.isfinite(own)
        v, w, weights = other[good], own[good], weight[good]
        scale = float((weights * v) @ w) / max(float((weights * v) @ v), 1e-300)
        return float((weights * np.square(w - scale * v)).sum())

    start, reach = float(np.log2(abs(factor))), 5 / _OCTAVE
    # A kink is visible only near the right scale, so a fine grid precedes the minimiser.
    tried = np.linspace(start - reach, start + reach, 41)
    middle = float(tried[int(np.argmin([misfit(at) for at in tried]))])
    best = minimize_scalar(
        misfit,
        bounds=(middle - reach / 20, middle + reach / 20),
        method="bounded",
        options={"xatol": 1e-13},
    ).x
    exact = float(np.sign(factor) * 2.0**best)
    for candidate in dict.fromkeys([*(float(f"{exact:.{n}g}") for n in (2, 3, 4, 6)), exact]):
        if LEAST <= abs(candidate) <= MOST:
            output = _output(values, evaluate(known.expr, candidate * _GRID))
            if output is not None:
                return Recognised(known, _snap(output), _snap(candidate))
    return None


def _output(values: Floats, other: Floats) -> float | None:
    """Return the factor with ``values = factor * other``, None if there is none."""
    good = np.isfinite(values) & np.isfinite(other)
    index = int(np.argmax(np.where(good & (np.abs(_GRID) <= 8), np.abs(other), -1.0)))
    if not good[index] or other[index] == 0 or values[index] == 0:
        return None
    factor = float(values[index] / other[index])
    return factor if _agree(values, factor * other) else None


def _agree(a: Floats, b: Floats) -> bool:
    """Whether values are equal up to rounding, relative to the largest neighbouring value."""
    good = np.isfinite(a)
    if not np.array_equal(good, np.isfinite(b)):
        return False
    a, b = a[good], b[good]
    size = np.maximum(np.abs(a), np.abs(b))
    near = np.maximum.reduce([size, np.roll(size, _OCTAVE), np.roll(size, -_OCTAVE)])
    core = float(size[np.abs(_GRID[good]) <= 8].max())
    return bool((np.abs(a - b) <= _RELATIVE * near + _ABSOLUTE * core).all())


def _is_line(values: Floats) -> bool:
    x, y = _GRID[::16], values[::16]
    if not np.isfinite(y).all():
        return False
    line = np.polyval(np.polyfit(x, y, 1), x)
    return bool(np.abs(y - line).max() <= 1e-9 * max(1e-6, float(np.abs(y).max())))


def _snap(value: float) -> float:
    """Return the nearest short decimal if the value equals it up to rounding."""
    for digits in range(1, 8):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= 1e-8 * abs(value):
            return short
    return value

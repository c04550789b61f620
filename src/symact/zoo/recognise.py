"""Is a function already known? Looked up by its values, up to scaling and sign of input and output.

The layers around an activation absorb both: a network with ``a f(b x)`` can do what one with ``f``
can. So a search result that is a known function in that sense is called by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.backends import evaluate
from symact.backends.sampling import OCTAVE, RECOGNITION_SIDE
from symact.expr import Expr, show, uses_statistics
from symact.zoo import Known

Floats = NDArray[np.float64]

#: Input scales are looked for within these, as b in f(x) = a g(b x).
LEAST, MOST = 1 / 16, 16.0

#: Where values are compared: outwards from 0 on a logarithmic grid, 32 points an octave.
_OCTAVE = OCTAVE
_SIDE = RECOGNITION_SIDE.line
_GRID = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])
#: Coarse shifts, in points, and how many of the best are looked at closely.
_SHIFTS = range(-4 * _OCTAVE, 4 * _OCTAVE + 1, 2)
#: What is looked at to find a scale: beyond 8 an oscillation is too fast to be met by chance.
_NEAR = 11 * _OCTAVE
_LOOKED_AT = 16
#: Agreement of values relative to the size near by, and to the size of the whole.
_RELATIVE, _ABSOLUTE = 1e-7, 1e-12


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a function is: f(x) = output * g(input * x).

    Attributes:
        known: g.
        output: Factor of the values.
        input: Factor of the argument; 1 where any would do.
    """

    known: Known
    output: float
    input: float

    def __str__(self) -> str:
        factor = "" if self.output == 1 else "-" if self.output == -1 else f"{self.output:.4g}*"
        inner = "x" if self.input == 1 else "-x" if self.input == -1 else f"{self.input:.4g}*x"
        bare = self.output == 1 and self.input == 1
        return self.known.name if bare else f"{factor}{self.known.name}({inner})"


def recognise(expr: Expr) -> Recognised | None:
    """Return the known function that an expression is up to scaling and sign, or None.

    Values are compared from 1/256 to 64 on both sides, to seven digits, with input factors from
    1/16 to 16. Functions of batch statistics and straight lines are not looked up.

    Args:
        expr: A function of x.
    """
    if uses_statistics(expr):
        return None
    with np.errstate(all="ignore"):
        values = evaluate(expr, _GRID)
        if not np.isfinite(values[np.abs(_GRID) <= 1]).all() or _is_line(values):
            return None
        zoo_ = _catalogue()
        plain = [
            Recognised(known, _snap(output), factor)
            for factor, table in ((1.0, zoo_.values), (-1.0, zoo_.values[:, ::-1]))
            for known, own in zip(zoo_.known, table, strict=True)
            if (output := _output(values, own)) is not None
        ]
        if plain:
            return min(plain, key=lambda one: (one.input != 1, one.output != 1))
        fitted = (
            _fitted(expr, values, zoo_.known[place], factor)
            for place, factor in sorted(_likely(values, zoo_))
        )
        # Several names may be one function at several scales: the plainest, then the best known.
        return min(filter(None, fitted), key=_oddness, default=None)


def _oddness(found: Recognised) -> tuple[bool, int]:
    return abs(found.output) != 1, len(f"{abs(found.input):.9g}{abs(found.output):.9g}")


def called(expr: Expr) -> str:
    """Return the name under which a function is known, scaled where it is, or its formula."""
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
    """Return what output scaling leaves alone and input scaling shifts.

    The direction of (f(x), f(-x)) as two numbers, and the exponent that both grow by.
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
    """Return the most alike functions with their input factors, the best first."""
    own, others, count = _features(values)[:, :_NEAR], zoo_.features, len(_SIDE)
    scored: list[tuple[float, int, float]] = []
    for shift in _SHIFTS:
        low, high = max(0, -shift), min(_NEAR, count - shift)
        if high - low < 5 * _OCTAVE:
            continue  # a short overlap is alike by chance
        a, b = own[:, low:high], others[:, :, low + shift : high + shift]
        straight = b[:, 0] @ a[0] + b[:, 1] @ a[1]
        turned = b[:, 1] @ a[0] + b[:, 0] @ a[1]
        growth = np.square(b[:, 2] - a[2]).sum(axis=1)
        norms = np.square(a[:2]).sum() + np.square(b[:, :2]).sum(axis=(1, 2))
        factor = float(2.0 ** (shift / _OCTAVE))
        for alike, sign in ((straight, 1.0), (turned, -1.0)):
            misfit = (norms - 2 * np.abs(alike) + growth) / (high - low)
            for place in np.argsort(misfit)[:_LOOKED_AT]:
                scored.append((float(misfit[place]), int(place), sign * factor))
    scored.sort()
    chosen: dict[int, float] = {}
    for _, place, factor in scored:
        chosen.setdefault(place, factor)
    return list(chosen.items())[:_LOOKED_AT]


def _fitted(expr: Expr, values: Floats, known: Known, factor: float) -> Recognised | None:
    """Find the input factor near one at which values agree everywhere."""
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
    # Kinks leave little to see between two points of the coarse grid: look closely, then closer.
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


def _output(own: Floats, other: Floats) -> float | None:
    """Return the factor at which other values are one's own everywhere, None if there is none."""
    good = np.isfinite(own) & np.isfinite(other)
    place = int(np.argmax(np.where(good & (np.abs(_GRID) <= 8), np.abs(other), -1.0)))
    if not good[place] or other[place] == 0 or own[place] == 0:
        return None
    factor = float(own[place] / other[place])
    return factor if _agree(own, factor * other) else None


def _agree(a: Floats, b: Floats) -> bool:
    """Whether values are equal to rounding, relative to the largest near by."""
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
    """Return a short decimal where it is one to rounding."""
    for digits in range(1, 8):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= 1e-8 * abs(value):
            return short
    return value

"""Plot a function in a terminal, and describe its values at 0 and for large inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate, evaluate_with_slopes
from symact.expr import Expr

_WIDTH, _HEIGHT = 61, 13
_REACH, _HIGHEST = 5.0, 5.0
#: Bits of the dots of a braille character, by row (0 to 3) and column (0, 1).
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def text_plot(expr: Expr, encoding: str = "utf-8") -> str:
    """Return a plot for inputs in [-5, 5]. Values beyond 5 are cut off.

    Args:
        expr: A function of x.
        encoding: Encoding of the output. The plot uses stars if it has no braille characters.
    """
    dots, low, high = _dots(expr)
    rows = 4 * _HEIGHT
    zero = round(high / (high - low) * (rows - 1)) // 4
    draw = _character if _has_braille(encoding) else _star
    labels = {zero: f"{0:8}", 0: f"{high:8.2g}", _HEIGHT - 1: f"{low:8.2g}"}
    lines = []
    for line in range(_HEIGHT):
        cells = (dots[4 * line : 4 * line + 4, 2 * i : 2 * i + 2] for i in range(_WIDTH))
        lines.append(f"{labels.get(line, ' ' * 8)} |{''.join(map(draw, cells))}")
    return "\n".join([*lines, f"{'':9}-5{'0':^{_WIDTH - 3}}5"])


def _dots(expr: Expr) -> tuple[NDArray[np.bool_], float, float]:
    """Return the dots as a mask ``[row, column]``, and the lowest and highest value shown."""
    x = np.linspace(-_REACH, _REACH, 2 * _WIDTH * 4)
    y = np.where(np.isfinite(values := evaluate(expr, x)), values, np.nan)
    shown = np.clip(y, -_HIGHEST, _HIGHEST)
    low, high = float(np.nanmin(shown, initial=0.0)), float(np.nanmax(shown, initial=0.0))
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    rows, columns = 4 * _HEIGHT, 2 * _WIDTH
    dots = np.zeros((rows, columns), dtype=bool)
    inside = np.isfinite(y) & (np.abs(y) <= _HIGHEST)
    row = np.rint((high - shown[inside]) / (high - low) * (rows - 1)).astype(int)
    column = np.rint((x[inside] + _REACH) / (2 * _REACH) * (columns - 1)).astype(int)
    dots[row, column] = True
    return dots, low, high


def _has_braille(encoding: str) -> bool:
    try:
        chr(0x2800).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _character(dots: NDArray[np.bool_]) -> str:
    bits = sum(_BRAILLE[r][c] for r in range(4) for c in range(2) if dots[r, c])
    return chr(0x2800 + bits) if bits else " "


def _star(dots: NDArray[np.bool_]) -> str:
    return "*" if dots.any() else " "


def behaviour(expr: Expr) -> dict[str, str]:
    """Return texts on the value and the slopes at 0, and on the limits on both sides."""
    near = np.array([-1e-9, 0.0, 1e-9])
    with np.errstate(all="ignore"):
        values, slopes = evaluate_with_slopes(expr, near)
    left, right = float(slopes[0]), float(slopes[2])
    jump = abs(values[2] - values[0]) > 1e-3
    slope = f"{left:.4g}" if abs(left - right) < 1e-6 else f"{left:.4g} on the left, {right:.4g}"
    return {
        "f(0)": f"{float(values[1]) + 0.0:.4g}" + (" (jumps)" if jump else ""),
        "f'(0)": slope,
        "far left": _tends(expr, -1.0),
        "far right": _tends(expr, 1.0),
    }


def _tends(expr: Expr, side: float) -> str:
    """Return the constant, line or growth rate that a function approaches on one side."""
    x = side * np.array([4e3, 5e3, 7e3, 1e4, 1.5e4])
    with np.errstate(all="ignore"):
        y = evaluate(expr, x)
    if not np.isfinite(y).all():
        return "grows beyond any number"
    slope, offset = np.polyfit(x, y, 1)
    line = slope * x + offset
    if np.abs(y - line).max() <= 1e-3 * max(1.0, float(np.abs(y).max()) * 1e-3):
        return _line(float(slope), float(offset))
    if np.abs(y - line).max() <= 0.01 * float(np.abs(y).max()):
        return f"about {_line(float(slope), float(offset) if abs(offset) > 1 else 0.0)}"
    growth = np.log(np.abs(y[-1] / y[0])) / np.log(x[-1] / x[0]) if (y != 0).all() else 0.0
    if growth > 1.5 or (growth > 0.3 and np.ptp(np.sign(y)) == 0):
        return f"grows like |x|^{growth:.2g}" if growth < 20 else "grows exponentially"
    if np.ptp(y) < 1e-9:
        return _line(0.0, float(y[0]))
    monotone = (np.diff(side * y * np.sign(x)) > 0).all() or (np.diff(y) < 0).all()
    return "changes ever more slowly" if monotone else "oscillates"


def _line(slope: float, offset: float) -> str:
    slope, offset = (0.0 if abs(v) < 1e-3 else float(f"{v:.3g}") for v in (slope, offset))
    if slope == 0:
        return f"{offset:g}"
    head = "x" if slope == 1 else "-x" if slope == -1 else f"{slope:g} x"
    return head if offset == 0 else f"{head} {'+' if offset > 0 else '-'} {abs(offset):g}"

"""Functions above their derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from symact.reporting.figures.style import (
    COLOURS,
    GREY,
    LABEL_SIZE,
    FloatArray,
    clean,
    nothing,
    save,
    styled,
)
from symact.reporting.table import shortened


@dataclass(frozen=True, slots=True)
class Curve:
    """A function sampled on a grid: its value and derivative at each ``x``."""

    label: str
    x: FloatArray
    value: FloatArray
    derivative: FloatArray


def functions(curves: Sequence[Curve], path: Path, *, reference: Curve | None = None) -> None:
    """Draw each function above its derivative, up to four side by side.

    Args:
        curves: The functions, best first; the label stands above its panel.
        path: Where to write, ``.svg`` or ``.png``.
        reference: A curve drawn thin and grey into every panel, or None for none. The first panel
            has a legend with its label.
    """
    columns = min(max(len(curves), 1), 4)
    blocks = max(math.ceil(len(curves) / columns), 1)
    width = {1: 3.4, 2: 5.0}.get(columns, 7.2)
    with styled((width, 2.95 * blocks + 0.1)) as figure:
        grid = figure.add_gridspec(
            2 * blocks + blocks - 1,
            columns,
            height_ratios=([1.0, 0.75, 0.42] * blocks)[:-1],
            left=0.64 / width,  # room for "-3.0" and the label
            right=1 - 0.12 / width,
            bottom=0.42 / (2.95 * blocks + 0.1),
            top=1 - 0.45 / (2.95 * blocks + 0.1),
            hspace=0.13,
            wspace=0.24,
        )
        for number, curve in enumerate(curves):
            block, column = divmod(number, columns)
            upper = figure.add_subplot(grid[3 * block, column])
            lower = figure.add_subplot(grid[3 * block + 1, column], sharex=upper)
            colour = COLOURS[number % len(COLOURS)]
            last = number + columns >= len(curves)
            _panel(upper, curve, reference, colour, (-10.0, 10.0), derivative=False)
            _panel(lower, curve, reference, colour, (-4.0, 4.0), derivative=True)
            upper.tick_params(labelbottom=False)
            _formula_title(upper, curve.label, colour)
            lower.set_xlabel("x" if last else "")
            if number == 0 and reference is not None:
                upper.legend(loc="best", handlelength=1.2, frameon=False, fontsize=LABEL_SIZE)
            if column == 0:
                upper.set_ylabel("f(x)")
                lower.set_ylabel("f\N{PRIME}(x)")
        if not curves:
            nothing(figure.add_subplot(grid[0, 0]))
        save(figure, path)


def _panel(
    axes: Axes,
    curve: Curve,
    reference: Curve | None,
    colour: str,
    bounds: tuple[float, float],
    *,
    derivative: bool,
) -> None:
    y = _shown(curve.derivative if derivative else curve.value)
    axes.axhline(0.0, color="#e4e4e4", linewidth=0.6, zorder=0)
    axes.axvline(0.0, color="#e4e4e4", linewidth=0.6, zorder=0)
    pieces = [y]
    if reference is not None:
        grey = _shown(reference.derivative if derivative else reference.value)
        axes.plot(
            reference.x, grey, color=GREY, linewidth=0.8, zorder=1, label=clean(reference.label)
        )
        pieces.append(grey)
    axes.plot(curve.x, y, color=colour, linewidth=1.5, zorder=2)
    seen = np.clip(np.concatenate(pieces), *bounds)
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (-1.0, 1.0)
    margin = 0.07 * max(high - low, 0.5)
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if np.isfinite(curve.x).any():
        ends = float(np.nanmin(curve.x)), float(np.nanmax(curve.x))
        axes.set_xlim(*(ends if ends[0] < ends[1] else (ends[0] - 1.0, ends[0] + 1.0)))


def _shown(values: FloatArray) -> FloatArray:
    """Return values with NaN for non-finite values, clipped outside the range of the panels."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), np.clip(array, -1e3, 1e3), np.nan)


def _formula_title(axes: Axes, label: str, colour: str) -> None:
    """Write a formula above a panel in at most two lines that fit its width."""
    whole = clean(label)
    title = axes.set_title("", color=colour, fontsize=7.5, loc="left", pad=4.0)
    title.set_parse_math(False)
    for limit in range(60, 3, -1):
        title.set_text("\n".join(_two_lines(whole, limit)))
        if title.get_window_extent().width <= axes.bbox.width * 1.04:
            return


def _two_lines(text: str, limit: int) -> list[str]:
    if len(text) <= limit:
        return [text]
    cut = text.rfind(" ", limit // 2, limit + 1)
    cut = limit if cut < 0 else cut
    return [text[:cut].rstrip(), shortened(text[cut:].lstrip(), limit)]

"""The error of each function in each task family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from symact.reporting.figures.style import (
    GREY,
    INK,
    LABEL_SIZE,
    FloatArray,
    line_style,
    nothing,
    positive,
    save,
    short,
    styled,
)
from symact.reporting.table import Row, family_names
from symact.tasks.protocol import REFERENCE

#: Ratios beyond this factor are drawn at the edge.
_WIDEST = 30.0


def families(rows: Sequence[Row], path: Path, *, reference: str = REFERENCE) -> None:
    """Draw one panel for each task family: OOD error relative to the reference's, a dot a function.

    Args:
        rows: In the order they are drawn, from the top; found functions are coloured.
        path: Where to write, ``.svg`` or ``.png``.
        reference: The row that ratios are to; without it errors are drawn as they are.
    """
    names = family_names(rows)
    base = next((row.families for row in rows if row.name == reference), {})
    found = [row for row in rows if row.kind == "found"]
    height = max(2.2, 0.85 + 0.165 * len(rows))
    width = 2.3 + 1.85 * max(len(names), 1)
    with styled((width, height)) as figure:
        grid = figure.add_gridspec(
            1,
            max(len(names), 1),
            left=1.95 / width,
            right=1 - 0.15 / width,
            bottom=0.5 / height,
            top=1 - 0.3 / height,
            wspace=0.12,
        )
        places = np.arange(len(rows))[::-1]
        for column, name in enumerate(names):
            axes = figure.add_subplot(grid[0, column])
            unit = base.get(name, 1.0)
            values = positive(np.array([row.families.get(name, np.nan) for row in rows]) / unit)
            shown, low, high = _limits(values)
            axes.axvline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
            axes.hlines(places, 1.0, shown, color="#dddddd", linewidth=0.8, zorder=1)
            colours = [line_style(row, found)[0] if row.kind == "found" else GREY for row in rows]
            axes.scatter(shown, places, c=colours, s=16, zorder=3, clip_on=False)
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            axes.set_ylim(-0.8, len(rows) - 0.2)
            axes.xaxis.set_major_locator(LogLocator(subs=_ticks(low, high), numticks=20))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            axes.set_title(name, loc="left")
            axes.set_xlabel(f"OOD error relative to {reference}" if column == 0 else "")
            axes.set_yticks(places, [short(row.name, 26) for row in rows] if column == 0 else [])
            axes.tick_params(axis="y", length=0, labelsize=LABEL_SIZE)
            axes.spines["left"].set_visible(False)
        if not names:
            nothing(figure.add_subplot(grid[0, 0]))
        save(figure, path)


def _limits(values: FloatArray) -> tuple[FloatArray, float, float]:
    """Return values cut to the widest axis, and the ends of the axis."""
    shown = np.clip(values, 1.0 / _WIDEST, _WIDEST)
    known = np.concatenate([shown[np.isfinite(shown)], [1.0]])
    return shown, min(float(known.min()), 0.8) / 1.15, max(float(known.max()), 1.25) * 1.15


def _ticks(low: float, high: float) -> tuple[float, ...]:
    if high / low > 100:
        return (1.0,)
    return (1.0, 3.0) if high / low > 6 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)

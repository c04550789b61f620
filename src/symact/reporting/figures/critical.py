"""The critical-difference diagram: mean ranks, and functions that do not differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from symact.reporting.figures.style import (
    COLOURS,
    GREY,
    INK,
    LABEL_SIZE,
    nothing,
    save,
    short,
    styled,
)

#: Inches between two labels, and between two bars.
_LINE, _BAR = 0.155, 0.085


def critical(
    names: Sequence[str],
    ranks: Sequence[float],
    cliques: Sequence[Sequence[int]],
    path: Path,
    *,
    found: Sequence[str] = (),
) -> None:
    """Draw mean ranks on a line, the best on the left; a bar joins functions that do not differ.

    J. Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).

    Args:
        names: Of the functions.
        ranks: The mean rank of each, 1 is best; as many as names.
        cliques: Places of functions of which no pair differs significantly.
        path: Where to write, ``.svg`` or ``.png``.
        found: Names that are coloured.
    """
    order = sorted(range(len(names)), key=lambda place: (ranks[place], place))
    half = math.ceil(len(order) / 2)
    above = 0.42
    bars = 0.12 + _BAR * len(cliques)
    height = above + bars + _LINE * max(half, 1) + 0.12
    with styled((7.2, height)) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        if not order:
            nothing(axes)
            save(figure, path)
            return
        low = math.floor(min(ranks))
        high = max(math.ceil(max(ranks)), low + 1)

        def at(rank: float) -> float:
            return 0.24 + 0.52 * (rank - low) / (high - low)

        axes.set_xlim(0, 1)
        axes.set_ylim(height, 0)
        axes.plot([at(low), at(high)], [above, above], color=INK, linewidth=0.9)
        step = max(1, math.ceil((high - low) / 10))
        for rank in range(low, high + 1, step):
            axes.plot([at(rank)] * 2, [above - 0.05, above], color=INK, linewidth=0.7)
            axes.text(at(rank), above - 0.08, str(rank), ha="center", fontsize=LABEL_SIZE)
        axes.text(0.5, 0.13, "mean rank over tasks (1 is best)", ha="center", fontsize=LABEL_SIZE)
        for number, clique in enumerate(cliques):
            y = above + 0.09 + _BAR * number
            ends = [at(ranks[place]) for place in clique]
            reach = (min(ends) - 0.004, max(ends) + 0.004)
            axes.plot(reach, [y, y], color=INK, linewidth=2.6, solid_capstyle="butt")
        for turn, place in enumerate(order):
            line = turn if turn < half else len(order) - 1 - turn
            y = above + bars + _LINE * (line + 0.6)
            colour = COLOURS[0] if names[place] in found else INK
            _arm(axes, at(ranks[place]), above, y, turn < half, colour)
            label = f"{short(names[place], 28)}  {ranks[place]:.2f}"
            if turn >= half:
                label = f"{ranks[place]:.2f}  {short(names[place], 28)}"
            axes.text(
                0.205 if turn < half else 0.795,
                y,
                label,
                ha="right" if turn < half else "left",
                va="center",
                fontsize=LABEL_SIZE,
                color=colour,
                parse_math=False,
            )
        save(figure, path)


def _arm(axes: Axes, x: float, top: float, y: float, left: bool, colour: str) -> None:
    """Draw the line from a rank to its label."""
    end = 0.21 if left else 0.79
    axes.plot([x, x, end], [top, y, y], color=colour if colour != INK else GREY, linewidth=0.6)

"""Draw a recommendation: the OOD errors of the answers, and what each pseudo-shift says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from symact.reporting.figures.style import (
    COLOURS,
    GREY,
    INK,
    LABEL_SIZE,
    FloatArray,
    save,
    short,
    styled,
)

#: Ratios beyond these factors are cut.
_WIDEST, _DARKEST = 30.0, 10.0
#: Inches: a row, a column, the margins, the panel of intervals.
_ROW, _COLUMN, _LEFT, _TOP, _BOTTOM, _PANEL = 0.19, 0.19, 1.7, 0.35, 1.5, 2.6


def recommendation(
    answers: Sequence[str],
    intervals: Sequence[tuple[float, float, float]],
    shifts: Sequence[str],
    errors: FloatArray,
    path: Path,
    *,
    fallback: str,
    choice: str,
) -> None:
    """Draw OOD errors with their intervals, and the errors under each pseudo-shift.

    Args:
        answers: Names of the answers, from the top.
        intervals: OOD error of each relative to the fallback: value, low, high.
        shifts: Names of the pseudo-shifts.
        errors: Errors relative to the mean landmark, ``[shift, answer]``; NaN if not measured.
        path: Where to write, ``.svg`` or ``.png``.
        fallback: The answer that OOD errors are relative to.
        choice: The recommended answer.
    """
    tall, wide = _ROW * len(answers), _COLUMN * len(shifts)
    width, height = _LEFT + _PANEL + 0.3 + wide + 0.75, _TOP + tall + _BOTTOM
    with styled((width, height)) as figure:

        def axes(left: float, across: float) -> Axes:
            return figure.add_axes((left / width, _BOTTOM / height, across / width, tall / height))

        first = axes(_LEFT, _PANEL)
        _intervals(first, answers, intervals, choice)
        first.set_xlabel(f"OOD error relative to {fallback}")
        second = axes(_LEFT + _PANEL + 0.3, wide)
        limit = math.log10(_DARKEST)
        values = np.log10(errors.T).clip(-limit, limit)
        norm = TwoSlopeNorm(0.0, -limit, limit)
        image = second.imshow(values, cmap="RdBu_r", norm=norm, aspect="auto")
        second.set_yticks([])
        second.set_xticks(range(len(shifts)), shifts, rotation=90, fontsize=LABEL_SIZE)
        second.tick_params(length=0)
        second.spines[:].set_visible(False)
        second.set_title("error relative to the mean answer", loc="left")
        bar = figure.colorbar(image, cax=axes(_LEFT + _PANEL + 0.4 + wide, 0.1))
        ticks = (0.1, 0.3, 1.0, 3.0, 10.0)
        bar.set_ticks([math.log10(tick) for tick in ticks], labels=[f"{t:g}" for t in ticks])
        bar.outline.set_visible(False)
        save(figure, path)


def _intervals(
    axes: Axes,
    answers: Sequence[str],
    intervals: Sequence[tuple[float, float, float]],
    choice: str,
) -> None:
    places = np.arange(len(answers))
    value, low, high = np.array(intervals).T.clip(1 / _WIDEST, _WIDEST)
    colours = [COLOURS[0] if own == choice else GREY for own in answers]
    axes.axvline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.hlines(places, low, high, colors=colours, linewidth=1.2, zorder=2)
    axes.scatter(value, places, c=colours, s=16, zorder=3)
    axes.set_xscale("log")
    axes.set_ylim(len(answers) - 0.5, -0.5)
    axes.set_yticks(places, [short(own, 24) for own in answers], fontsize=LABEL_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:.3g}"))
    axes.spines["left"].set_visible(False)

"""The error over the distance from the training range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from symact.reporting.figures.style import (
    GREY,
    INK,
    NOTE,
    FloatArray,
    end_labels,
    error_axis,
    line_style,
    nothing,
    positive,
    save,
    short,
    styled,
)
from symact.reporting.table import Row
from symact.tasks.protocol import REFERENCE, SHELLS


def distance(rows: Sequence[Row], path: Path, *, reference: str = REFERENCE) -> None:
    """Draw the error of each function over the distance from the training range.

    On the left the errors themselves, on the right their ratio to the reference's, where lines that
    lie close together come apart.

    Args:
        rows: Found functions are coloured, all others grey.
        path: Where to write, ``.svg`` or ``.png``.
        reference: The row that ratios are to; without it the right panel shows errors again.
    """
    lines = [(row, np.array([row.id_error, *row.shells], dtype=np.float64)) for row in rows]
    lines = [(row, positive(errors)) for row, errors in lines]
    lines = [(row, errors) for row, errors in lines if np.isfinite(errors).any()]
    found = [row for row, _ in lines if row.kind == "found"]
    unit = next((errors for row, errors in lines if row.name == reference), np.ones(4))
    ratios = [(row, errors / unit) for row, errors in lines]
    height = max(3.8, 0.8 + 0.15 * len(lines))
    bottom = 0.5 / height
    with styled((8.6, height)) as figure:
        left = figure.add_axes((0.08, bottom, 0.31, 0.97 - bottom))
        right = figure.add_axes((0.475, bottom, 0.31, 0.97 - bottom))
        _distance_axes(left, [errors for _, errors in lines], "normalised error (geometric mean)")
        note = "predicting the mean"
        left.annotate(note, (-0.1, 1.0), xytext=(0, 3), **NOTE)
        _distance_axes(right, [own for _, own in ratios], f"error relative to {reference}")
        _distance_lines(left, lines, found)
        end_labels(right, _distance_lines(right, ratios, found))
        if not lines:
            nothing(left)
        save(figure, path)


def _distance_lines(
    axes: Axes, lines: Sequence[tuple[Row, FloatArray]], found: Sequence[Row]
) -> list[tuple[float, float, str, str]]:
    """Draw one line for each function; return where each ends, its name and colour."""
    ends = []
    for row, errors in lines:
        colour, dash = line_style(row, found)
        is_found = row.kind == "found"
        axes.plot(
            errors,
            color=colour,
            linestyle=dash,
            linewidth=1.7 if is_found else 0.8,
            marker="o",
            markersize=3.5 if is_found else 2.0,
            zorder=3 if is_found else 2,
            clip_on=False,
        )
        last = np.flatnonzero(np.isfinite(errors))
        if last.size:
            end = int(last[-1])
            name = short(row.name, 26)
            ends.append((float(end), float(errors[end]), name, colour if is_found else GREY))
    return ends


def _distance_axes(axes: Axes, lines: Sequence[FloatArray], label: str) -> None:
    values = np.concatenate([np.ones(1), *lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    error_axis(axes, low / 1.2, high * 1.2)
    names = ["ID", *SHELLS]
    axes.set_xlim(-0.15, len(names) - 0.9)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("distance from the training range")
    axes.set_ylabel(label)
    axes.grid(axis="y", color="#ececec", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)

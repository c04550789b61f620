"""Draw the where-it-wins matrix: function x family, with similar rows and columns together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from symact.reporting.figures.style import LABEL_SIZE, FloatArray, save, short, styled

#: Ratios beyond this factor have the darkest colour.
_WIDEST = 10.0
#: Inches of a cell, and of the labels.
_CELL, _LEFT, _TOP, _BOTTOM = 0.135, 1.75, 0.35, 1.35
#: Inches that the title needs.
_NARROWEST = 4.6


def order(values: FloatArray) -> list[int]:
    """Return the order of rows ``[row, column]`` that puts similar rows together.

    The order is that of the leaves of a hierarchical clustering by Ward's method, with the leaves
    ordered such that neighbours are similar.
    """
    if len(values) < 3:
        return list(range(len(values)))
    from scipy.cluster.hierarchy import leaves_list, linkage

    return [int(i) for i in leaves_list(linkage(values, "ward", optimal_ordering=True))]


def matrix(
    ratios: FloatArray,
    functions: Sequence[str],
    families: Sequence[str],
    path: Path,
    *,
    reference: str,
) -> None:
    """Draw the matrix of ratios of OOD errors.

    Args:
        ratios: Log10 of the ratios ``[function, family]``.
        functions: The names of the functions.
        families: The names of the families.
        path: Where to write, ``.svg`` or ``.png``.
        reference: The function that ratios are to.
    """
    limit = math.log10(_WIDEST)
    values = ratios.clip(-limit, limit)
    rows, columns = order(values), order(values.T)
    shown = values[np.ix_(rows, columns)]
    width = max(_LEFT + _CELL * shown.shape[1] + 0.75, _NARROWEST)
    height = _TOP + _CELL * shown.shape[0] + _BOTTOM
    with styled((width, height)) as drawn:
        axes = drawn.add_axes(
            (
                _LEFT / width,
                _BOTTOM / height,
                _CELL * shown.shape[1] / width,
                _CELL * shown.shape[0] / height,
            )
        )
        norm = TwoSlopeNorm(0.0, -limit, limit)
        image = axes.imshow(shown, cmap="RdBu_r", norm=norm, aspect="auto")
        axes.set_yticks(
            range(len(rows)),
            [short(functions[i], 24) for i in rows],
            fontsize=LABEL_SIZE,
        )
        axes.set_xticks(
            range(len(columns)),
            [families[i] for i in columns],
            rotation=90,
            fontsize=LABEL_SIZE - 1,
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        tall = min(2.4, height - _BOTTOM - 0.1)
        bar = drawn.add_axes((1 - 0.5 / width, _BOTTOM / height, 0.1 / width, tall / height))
        colours = drawn.colorbar(image, cax=bar)
        ticks = (0.1, 0.3, 1.0, 3.0, 10.0)
        colours.set_ticks([math.log10(tick) for tick in ticks], labels=[f"{t:g}" for t in ticks])
        colours.outline.set_visible(False)
        axes.set_title(f"OOD error relative to {reference}; blue is better", loc="left", fontsize=8)
        save(drawn, path)

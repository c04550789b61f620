"""The common style of the figures: colours, fonts, sizes, axes, files."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, LogLocator, NullLocator
from numpy.typing import NDArray

from symact.errors import SymactError
from symact.files import replacing
from symact.reporting.table import Row, shortened
from symact.tasks.protocol import REFERENCE

FloatArray = NDArray[np.float64]

# Okabe and Ito's palette without its yellow, which is too light for lines on white:
# https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
INK = "#222222"
GREY = "#8a8a8a"
PALE = "#c4c4c4"
_FONT = "DejaVu Sans"  # comes with matplotlib, so that files are the same everywhere
_STYLE: dict[str, object] = {
    "font.family": [_FONT],
    "font.size": 8.0,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_locale": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "text.usetex": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "symact",
}
_PNG_DPI = 200
LABEL_SIZE = 7.0
_LONGEST_LABEL = 40
ERROR_LABEL = "normalised OOD error (geometric mean)"


@contextmanager
def styled(inches: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure of a width and height in inches, drawn in the style of this module."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # a plain dict is what it takes
        figure = Figure(figsize=inches, dpi=100)
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG or PNG, by the suffix of its path."""
    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise SymactError(f"a figure is written as .svg or .png, got '{path.name}'")
    with replacing(path) as draft:
        if suffix == ".svg":
            figure.savefig(draft, format="svg", metadata={"Date": None, "Creator": "symact"})
        else:
            figure.savefig(draft, format="png", dpi=_PNG_DPI, metadata={"Software": "symact"})


#: The style of a remark at the start of a line.
NOTE: dict[str, Any] = {
    "textcoords": "offset points",
    "ha": "left",
    "fontsize": LABEL_SIZE,
    "color": INK,
}


# Text.
@functools.cache
def _glyphs() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(_FONT))
    return frozenset(font.get_charmap())


def clean(text: str) -> str:
    """Return one line of characters the font has; the others become ``?``."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() and ord(c) in _glyphs() else "?" for c in line)


def short(text: str, limit: int = _LONGEST_LABEL) -> str:
    """Return a label of at most ``limit`` characters."""
    return shortened(clean(text), limit)


def nothing(axes: Axes) -> None:
    """Mark axes that have no data."""
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=GREY)


# Scales.
def positive(errors: FloatArray) -> FloatArray:
    """Return the errors with NaN for what a logarithmic axis cannot show."""
    return np.where(np.isfinite(errors) & (errors > 0), errors, np.nan)


def error_axis(axes: Axes, low: float, high: float) -> None:
    """Make y logarithmic over at least a factor of 4, with ticks that can be read."""
    if high / low < 4.0:
        middle = math.sqrt(low * high)
        low, high = middle / 2.0, middle * 2.0
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    decades = math.log10(high / low)
    axes.yaxis.set_minor_locator(NullLocator())
    if decades > 2.5:
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        axes.yaxis.set_major_formatter(LogFormatterMathtext())
        return
    steps = (1.0, 2.0, 5.0) if decades > 1.0 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=30))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def line_style(row: Row, found: Sequence[Row]) -> tuple[str, str]:
    """Return the colour and the line style of a row."""
    if row.kind != "found":
        return (GREY if row.name in (REFERENCE, "ReLU") else PALE), "-"
    number = next(place for place, other in enumerate(found) if other is row)
    turn, colour = divmod(number, len(COLOURS))
    return COLOURS[colour], DASHES[turn % len(DASHES)]


def end_labels(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Label lines beside the right edge, spread apart, with leaders to their ends."""
    if not ends:
        return
    scale = axes.figure.dpi / 72.0
    frame = axes.bbox
    pixels = axes.transData.transform([(x, y) for x, y, _, _ in ends])
    places = spread(pixels[:, 1], 9.5 * scale, frame.y0, frame.y1)
    to_axes = axes.transAxes.inverted()
    for (x, y, text, colour), pixel in zip(ends, places, strict=True):
        height = float(to_axes.transform((0.0, pixel))[1])
        axes.annotate(
            text,
            (x, y),
            xytext=(1.05, height),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=LABEL_SIZE,
            color=colour,
            parse_math=False,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": PALE,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 1.0,
                "shrinkB": 3.0,
            },
        )


def spread(wanted: FloatArray, gap: float, low: float, high: float) -> FloatArray:
    """Return positions at least ``gap`` apart, in the same order, as near to the wanted as can be.

    Neighbours that are too close merge into a block around their mean (pool adjacent violators).
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[tuple[float, int]] = []  # sum of wanted minus offset, members
    for rank, index in enumerate(order):
        blocks.append((float(wanted[index]) - rank * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1] = (blocks[-1][0] + total, blocks[-1][1] + members)
    bases = [total / members for total, members in blocks for _ in range(members)]
    ceiling = high - gap * (len(order) - 1)
    places = np.empty_like(wanted)
    for rank, index in enumerate(order):
        places[index] = max(min(bases[rank], ceiling), low) + rank * gap
    return places

"""Figures for reports and papers: the front, the found functions, the error over distance.

The only home of matplotlib. Figures are drawn on ``Figure`` objects with the Agg canvas, so no
window system and no pyplot state is touched. The suffix of the path, ``.svg`` or ``.png``, decides
the format; equal data gives equal files. Values that are not finite are not drawn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullLocator,
)
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from symact.errors import SymactError
from symact.protocol import SHELLS
from symact.table import Row, shortened

FloatArray = NDArray[np.float64]

# Okabe and Ito's palette without its yellow, which is too light for lines on white:
# https://jfly.uni-koeln.de/color/
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")
_INK = "#222222"
_GREY = "#8a8a8a"
_PALE = "#c4c4c4"
_FONT = "DejaVu Sans"  # comes with matplotlib, so that files are the same everywhere
_STYLE: dict[str, object] = {
    "font.family": [_FONT],
    "font.size": 8.0,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.0,
    "axes.labelcolor": _INK,
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
_LABEL_SIZE = 7.0
_LONGEST_LABEL = 40
_ERROR_LABEL = "normalised OOD error (geometric mean)"

# Errors this many times the smallest are drawn at the upper edge: what diverged must not press
# everything else into one line.
_HIGHEST_OVER_LOWEST = 1e4
# Costs beyond this are spread logarithmically.
_LINEAR_FLOPS = 120.0

# Where a label may stand around its point, nearest first, in points.
_RADII = (4.0, 8.0, 13.0, 19.0, 27.0, 37.0, 50.0, 66.0)
_ANGLES = tuple(math.radians(degrees) for degrees in range(0, 360, 20))
_LEADER_FROM = 10.0
_COLLISION = 1000.0


@dataclass(frozen=True, slots=True)
class Point:
    """A function by what it costs and how well it does.

    Attributes:
        label: Its name or formula; a found one may have ``""`` to go unlabelled.
        flops: Cost of one evaluation.
        error: Geometric-mean normalised OOD error.
    """

    label: str
    flops: float
    error: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A function sampled on a grid: its value and derivative at each ``x``."""

    label: str
    x: FloatArray
    value: FloatArray
    derivative: FloatArray


def front(points: Sequence[Point], known: Sequence[Point], path: Path) -> None:
    """Draw found candidates with their Pareto front, and known functions beside them.

    Args:
        points: Found candidates; those on the front are labelled as far as there is room.
        known: Known functions, all labelled.
        path: Where to write, ``.svg`` or ``.png``.
    """
    found, others = _drawable(points), _drawable(known)
    best = _pareto(found)
    with _styled((6.4, 4.2)) as figure:
        axes = figure.add_axes((0.095, 0.115, 0.885, 0.82))
        top = _front_axes(axes, found, best, others)
        seen = {id(point) for point in best}
        rest = [point for point in found if id(point) not in seen]
        _dots(axes, rest, top, "#9ec9e2", 12.0, "o")
        _dots(axes, others, top, _INK, 22.0, "D")
        _dots(axes, best, top, _COLOURS[0], 26.0, "o")
        trail = _step_line(axes, best, top)
        labels = _Labels(axes, [_at(p, top) for p in (*best, *others)], trail)
        for point in others:
            labels.place(_at(point, top), _short(point.label), _INK, needed=True)
        for point in best:
            labels.place(_at(point, top), _short(point.label), _COLOURS[0], needed=False)
        _front_key(axes, bool(found), bool(others))
        _save(figure, path)


def functions(curves: Sequence[Curve], path: Path, *, reference: Curve | None = None) -> None:
    """Draw each function above its derivative, up to four side by side.

    Args:
        curves: The functions, best first; the label stands above its panel.
        path: Where to write, ``.svg`` or ``.png``.
        reference: A curve drawn thin and grey into every panel, or None for none.
    """
    columns = min(max(len(curves), 1), 4)
    blocks = max(math.ceil(len(curves) / columns), 1)
    width = {1: 3.4, 2: 5.0}.get(columns, 7.2)
    with _styled((width, 2.95 * blocks + 0.1)) as figure:
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
            colour = _COLOURS[number % len(_COLOURS)]
            last = number + columns >= len(curves)
            _panel(upper, curve, reference, colour, (-10.0, 10.0), derivative=False)
            _panel(lower, curve, reference, colour, (-4.0, 4.0), derivative=True)
            upper.tick_params(labelbottom=False)
            _formula_title(upper, curve.label, colour)
            lower.set_xlabel("x" if last else "")
            if column == 0:
                upper.set_ylabel("f(x)")
                lower.set_ylabel("f\N{PRIME}(x)")
        if not curves:
            _nothing(figure.add_subplot(grid[0, 0]))
        _save(figure, path)


def distance(rows: Sequence[Row], path: Path, *, reference: str = "GELU") -> None:
    """Draw the error of each function over the distance from the training range.

    On the left the errors themselves, on the right their ratio to the reference's, where lines that
    lie close together come apart.

    Args:
        rows: Found functions are coloured, all others grey.
        path: Where to write, ``.svg`` or ``.png``.
        reference: The row that ratios are to; without it the right panel shows errors again.
    """
    lines = [(row, np.array([row.id_error, *row.shells], dtype=np.float64)) for row in rows]
    lines = [(row, _positive(errors)) for row, errors in lines]
    lines = [(row, errors) for row, errors in lines if np.isfinite(errors).any()]
    found = [row for row, _ in lines if row.kind == "found"]
    unit = next((errors for row, errors in lines if row.name == reference), np.ones(4))
    ratios = [(row, errors / unit) for row, errors in lines]
    height = max(3.8, 0.8 + 0.15 * len(lines))
    bottom = 0.5 / height
    with _styled((8.6, height)) as figure:
        left = figure.add_axes((0.08, bottom, 0.31, 0.97 - bottom))
        right = figure.add_axes((0.475, bottom, 0.31, 0.97 - bottom))
        _distance_axes(left, [errors for _, errors in lines], "normalised error (geometric mean)")
        note = "predicting the mean"
        left.annotate(note, (-0.1, 1.0), xytext=(0, 3), **_NOTE)
        _distance_axes(right, [own for _, own in ratios], f"error relative to {reference}")
        _distance_lines(left, lines, found)
        _end_labels(right, _distance_lines(right, ratios, found))
        if not lines:
            _nothing(left)
        _save(figure, path)


def _distance_lines(
    axes: Axes, lines: Sequence[tuple[Row, FloatArray]], found: Sequence[Row]
) -> list[tuple[float, float, str, str]]:
    """Draw one line for each function; return where each ends, its name and colour."""
    ends = []
    for row, errors in lines:
        colour, dash = _line_style(row, found)
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
            name = _short(row.name, 26)
            ends.append((float(end), float(errors[end]), name, colour if is_found else _GREY))
    return ends


@contextmanager
def _styled(inches: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure of a width and height in inches, drawn in the style of this module."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # a plain dict is what it takes
        figure = Figure(figsize=inches, dpi=100)
        FigureCanvasAgg(figure)
        yield figure


def _save(figure: Figure, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".svg":
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "symact"})
    elif suffix == ".png":
        figure.savefig(path, format="png", dpi=_PNG_DPI, metadata={"Software": "symact"})
    else:
        raise SymactError(f"a figure is written as .svg or .png, got '{path.name}'")


#: How a remark at the start of a line is set.
_NOTE: dict[str, Any] = {
    "textcoords": "offset points",
    "ha": "left",
    "fontsize": _LABEL_SIZE,
    "color": _INK,
}


# Text.
@functools.cache
def _glyphs() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(_FONT))
    return frozenset(font.get_charmap())


def _clean(text: str) -> str:
    """Return one line of characters the font has; the others become ``?``."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() and ord(c) in _glyphs() else "?" for c in line)


def _short(text: str, limit: int = _LONGEST_LABEL) -> str:
    return shortened(_clean(text), limit)


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=_GREY)


# Scales.
def _positive(errors: FloatArray) -> FloatArray:
    """Return the errors with NaN for what a logarithmic axis cannot show."""
    return np.where(np.isfinite(errors) & (errors > 0), errors, np.nan)


def _error_axis(axes: Axes, low: float, high: float) -> None:
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
    steps = (1.0, 2.0, 5.0) if decades > 0.8 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=30))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


# The front.
def _drawable(points: Sequence[Point]) -> list[Point]:
    return [
        point
        for point in points
        if math.isfinite(point.flops)
        and point.flops >= 0
        and math.isfinite(point.error)
        and point.error > 0
    ]


def _pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no cheaper or equally cheap one beats, by rising cost."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.flops, p.error)):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return kept


def _front_axes(
    axes: Axes, found: Sequence[Point], best: Sequence[Point], known: Sequence[Point]
) -> float:
    """Scale and label the axes; return the error that the upper edge stands for."""
    everything = [*found, *known] or [Point("", 1.0, 1.0)]
    lowest = min(point.error for point in everything)
    reach = lowest * _HIGHEST_OVER_LOWEST
    shown = [p.error for p in (*best, *known) if p.error <= reach]
    highest = max(shown, default=lowest)
    # Room for dots a little worse than the known functions, not for all that ever failed.
    highest = max([highest, *(p.error for p in found if p.error <= 3.0 * highest)])
    spread = max(math.log10(highest / lowest), 0.3)
    top = highest * 10 ** (0.10 * spread)
    _error_axis(axes, lowest / 10 ** (0.10 * spread), top)
    costs = [point.flops for point in everything]
    if max(costs) > _LINEAR_FLOPS:
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        axes.set_xlim(0.7 * min(costs), 2.0 * max(costs))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        margin = 0.06 * max(max(costs) - min(costs), 5.0)
        axes.set_xlim(min(costs) - margin, max(costs) + 1.6 * margin)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel("cost of one evaluation (FLOPs)")
    axes.set_ylabel(_ERROR_LABEL)
    axes.grid(axis="y", color="#ececec", linewidth=0.6)
    axes.set_axisbelow(True)
    return float(axes.get_ylim()[1])


def _at(point: Point, top: float) -> tuple[float, float]:
    return point.flops, min(point.error, top)


def _dots(
    axes: Axes, points: Sequence[Point], top: float, colour: str, size: float, marker: str
) -> None:
    """Draw points; those above the upper edge become hollow triangles on it."""
    inside = [point for point in points if point.error <= top]
    above = [point for point in points if point.error > top]
    white = {"edgecolors": "white", "linewidths": 0.5}
    axes.scatter(
        [p.flops for p in inside],
        [p.error for p in inside],
        s=size,
        c=colour,
        marker=marker,
        zorder=3,
        **white,  # type: ignore[arg-type]  # colour names and a width, as scatter wants them
    )
    axes.scatter(
        [p.flops for p in above],
        [top] * len(above),
        s=size,
        marker="^",
        facecolors="white",
        edgecolors=colour,
        linewidths=0.8,
        zorder=3,
        clip_on=False,
    )


def _step_line(axes: Axes, best: Sequence[Point], top: float) -> list[tuple[float, float]]:
    """Draw the front; return points along it, for labels to stay away from."""
    if not best:
        return []
    right = axes.get_xlim()[1]
    x = [point.flops for point in best] + [right]
    y = [min(point.error, top) for point in best]
    axes.step(x, [*y, y[-1]], where="post", color=_COLOURS[0], linewidth=1.2, zorder=2)
    trail: list[tuple[float, float]] = []
    for number, level in enumerate(y):
        trail += [(float(v), level) for v in np.linspace(x[number], x[number + 1], 24)]
        if number + 1 < len(y):
            trail += [(x[number + 1], float(v)) for v in np.geomspace(level, y[number + 1], 12)]
    return trail


def _front_key(axes: Axes, has_found: bool, has_known: bool) -> None:
    """Say in the upper right corner what the marks are; draw nothing where there is one kind."""
    if not (has_found and has_known):
        if not has_found and not has_known:
            _nothing(axes)
        return
    handles = [
        axes.plot([], [], "o-", color=_COLOURS[0], markersize=5, linewidth=1.2)[0],
        axes.plot([], [], "o", color="#9ec9e2", markersize=3.5)[0],
        axes.plot([], [], "D", color=_INK, markersize=4)[0],
    ]
    names = ["found, on the front", "found", "known functions"]
    axes.legend(
        handles,
        names,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.99),
        ncols=3,
        frameon=False,
        fontsize=7.5,
        handletextpad=0.4,
        columnspacing=1.4,
        borderaxespad=0.0,
    )


class _Labels:
    """Places labels one after another, each where it collides least with what stands already."""

    def __init__(
        self,
        axes: Axes,
        points: Sequence[tuple[float, float]],
        trail: Sequence[tuple[float, float]],
    ) -> None:
        self.axes = axes
        self.scale = axes.figure.dpi / 72.0  # pixels in a point
        self.marks = self._pixels(points)
        self.trail = self._pixels(trail)
        self.boxes: list[Bbox] = []

    def _pixels(self, points: Sequence[tuple[float, float]]) -> FloatArray:
        if not points:
            return np.empty((0, 2))
        return np.asarray(self.axes.transData.transform(np.asarray(points, dtype=np.float64)))

    def place(self, at: tuple[float, float], text: str, colour: str, *, needed: bool) -> None:
        """Write a label near a point; one not needed is left out if it would collide."""
        if not text:
            return
        note = _note(self.axes, at, text, colour)
        extent = note.get_window_extent()
        anchor = self._pixels([at])[0]
        options = [
            (self._cost(anchor, box, radius), radius, angle, box)
            for radius in _RADII
            for angle in _ANGLES
            for box in (self._box(anchor, radius, angle, extent),)
        ]
        cost, radius, _, box = min(options, key=lambda option: option[0])
        if cost >= _COLLISION and not needed:
            note.remove()
            return
        self.boxes.append(box)
        corner = (box.x0 - anchor[0], box.y0 - anchor[1])
        note.set_position((corner[0] / self.scale, corner[1] / self.scale))
        if radius > _LEADER_FROM:
            self._leader(at, anchor, box)

    def _box(self, anchor: FloatArray, radius: float, angle: float, extent: Bbox) -> Bbox:
        """Return where the text stands when it touches a circle around its point."""
        width, height = extent.width, extent.height
        x = anchor[0] + radius * self.scale * math.cos(angle) + width * (math.cos(angle) - 1) / 2
        y = anchor[1] + radius * self.scale * math.sin(angle) + height * (math.sin(angle) - 1) / 2
        return Bbox.from_bounds(x, y, width, height)

    def _cost(self, anchor: FloatArray, box: Bbox, radius: float) -> float:
        wide = Bbox.from_extents(box.x0 - 2, box.y0 - 1, box.x1 + 2, box.y1 + 1)
        frame = self.axes.bbox
        outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
        collisions = int(outside) + sum(wide.overlaps(other) for other in self.boxes)
        marks = _inside(wide.padded(3.0 * self.scale), self.marks)
        own = bool(_inside(wide.padded(3.0 * self.scale), anchor[None, :]))
        crossed = sum(_crosses(anchor, _nearest(box, anchor), other) for other in self.boxes)
        return (
            _COLLISION * (collisions + max(marks - own, 0))
            + 60.0 * min(_inside(wide, self.trail), 3)
            + 200.0 * crossed
            + 6.0 * radius
        )

    def _leader(self, at: tuple[float, float], anchor: FloatArray, box: Bbox) -> None:
        end = _nearest(box, anchor)
        start = anchor + (end - anchor) * min(4.0 * self.scale / np.hypot(*(end - anchor)), 1.0)
        points = self.axes.transData.inverted().transform([start, end])
        self.axes.plot(points[:, 0], points[:, 1], color=_GREY, linewidth=0.5, zorder=2)
        between = np.linspace(start, end, 8)
        self.trail = np.concatenate([self.trail, between])


def _note(axes: Axes, at: tuple[float, float], text: str, colour: str) -> Annotation:
    note = axes.annotate(
        text,
        at,
        xytext=(0, 0),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=_LABEL_SIZE,
        color=colour,
        zorder=5,
        parse_math=False,
        annotation_clip=False,
    )
    note.set_path_effects([patheffects.withStroke(linewidth=2.0, foreground="white")])
    return note


def _inside(box: Bbox, pixels: FloatArray) -> int:
    x, y = pixels[:, 0], pixels[:, 1]
    return int(((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).sum())


def _nearest(box: Bbox, anchor: FloatArray) -> FloatArray:
    x, y = np.clip(anchor[0], box.x0, box.x1), np.clip(anchor[1], box.y0, box.y1)
    return np.array([x, y])


def _crosses(start: FloatArray, end: FloatArray, box: Bbox) -> bool:
    return _inside(box, np.linspace(start, end, 12)) > 0


# The functions.
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
        axes.plot(reference.x, grey, color=_GREY, linewidth=0.8, zorder=1)
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
    """Return values with NaN for what is not finite, cut where no panel reaches."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), np.clip(array, -1e3, 1e3), np.nan)


def _formula_title(axes: Axes, label: str, colour: str) -> None:
    """Write a formula above a panel in at most two lines that fit its width."""
    clean = _clean(label)
    title = axes.set_title("", color=colour, fontsize=7.5, loc="left", pad=4.0)
    title.set_parse_math(False)
    for limit in range(60, 3, -1):
        title.set_text("\n".join(_two_lines(clean, limit)))
        if title.get_window_extent().width <= axes.bbox.width * 1.04:
            return


def _two_lines(text: str, limit: int) -> list[str]:
    if len(text) <= limit:
        return [text]
    cut = text.rfind(" ", limit // 2, limit + 1)
    cut = limit if cut < 0 else cut
    return [text[:cut].rstrip(), shortened(text[cut:].lstrip(), limit)]


# Distance.
def _distance_axes(axes: Axes, lines: Sequence[FloatArray], label: str) -> None:
    values = np.concatenate([np.ones(1), *lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    _error_axis(axes, low / 1.2, high * 1.2)
    names = ["ID", *SHELLS]
    axes.set_xlim(-0.15, len(names) - 0.9)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("distance from the training range")
    axes.set_ylabel(label)
    axes.grid(axis="y", color="#ececec", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axhline(1.0, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def _line_style(row: Row, found: Sequence[Row]) -> tuple[str, str]:
    if row.kind != "found":
        return (_GREY if row.name in ("GELU", "ReLU") else _PALE), "-"
    number = next(place for place, other in enumerate(found) if other is row)
    turn, colour = divmod(number, len(_COLOURS))
    return _COLOURS[colour], _DASHES[turn % len(_DASHES)]


def _end_labels(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Label lines beside the right edge, spread apart, with leaders to their ends."""
    if not ends:
        return
    scale = axes.figure.dpi / 72.0
    frame = axes.bbox
    pixels = axes.transData.transform([(x, y) for x, y, _, _ in ends])
    places = _spread(pixels[:, 1], 9.5 * scale, frame.y0, frame.y1)
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
            fontsize=_LABEL_SIZE,
            color=colour,
            parse_math=False,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": _PALE,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 1.0,
                "shrinkB": 3.0,
            },
        )


def _spread(wanted: FloatArray, gap: float, low: float, high: float) -> FloatArray:
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

"""The front: error against cost, with labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from symact.evaluation.pareto import non_dominated
from symact.reporting.figures.style import (
    COLOURS,
    ERROR_LABEL,
    GREY,
    INK,
    LABEL_SIZE,
    FloatArray,
    error_axis,
    nothing,
    save,
    short,
    styled,
)

# Errors this many times the smallest are drawn at the upper edge, so that diverged functions do not
# squeeze the others into one line.
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
    """The cost and the error of a function.

    Attributes:
        label: Its name or formula; a found one may have ``""`` to go unlabelled.
        flops: Cost of one evaluation.
        error: Geometric-mean OOD error, normalised or relative to a reference.
        is_chosen: Whether a run chose it; it is ringed and always labelled.
    """

    label: str
    flops: float
    error: float
    is_chosen: bool = False


def front(
    points: Sequence[Point], known: Sequence[Point], path: Path, *, label: str = ERROR_LABEL
) -> None:
    """Draw found candidates with their Pareto front, and known functions beside them.

    Args:
        points: Found candidates. Chosen ones are labelled, and those on the front where there is
            room.
        known: Known functions, all labelled.
        path: Where to write, ``.svg`` or ``.png``.
        label: What the errors are.
    """
    found, others = _drawable(points), _drawable(known)
    best = _pareto(found)
    with styled((6.4, 4.2)) as figure:
        axes = figure.add_axes((0.095, 0.115, 0.885, 0.82))
        top = _front_axes(axes, found, best, others)
        axes.set_ylabel(label)
        seen = {id(point) for point in best}
        rest = [point for point in found if id(point) not in seen]
        _dots(axes, rest, top, "#9ec9e2", 12.0, "o")
        _dots(axes, others, top, INK, 22.0, "D")
        _dots(axes, best, top, COLOURS[0], 26.0, "o")
        chosen = [point for point in found if point.is_chosen]
        _rings(axes, chosen, top)
        trail = _step_line(axes, best, top)
        labels = _Labels(axes, [_at(p, top) for p in (*best, *chosen, *others)], trail)
        for number, point in enumerate(chosen):
            text = f"chosen: {short(point.label)}"
            name = f"chosen-{number}"
            labels.place(_at(point, top), text, COLOURS[1], needed=True, name=name)
        for point in others:
            labels.place(_at(point, top), short(point.label), INK, needed=True)
        for point in best:
            if not point.is_chosen:
                labels.place(_at(point, top), short(point.label), COLOURS[0], needed=False)
        _front_key(axes, bool(found), bool(others))
        save(figure, path)


def _rings(axes: Axes, points: Sequence[Point], top: float) -> None:
    """Draw a ring around each chosen point."""
    where = [_at(point, top) for point in points]
    axes.scatter(
        [x for x, _ in where],
        [y for _, y in where],
        s=80.0,
        facecolors="none",
        edgecolors=COLOURS[1],
        linewidths=1.4,
        zorder=4,
        clip_on=False,
    )


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
    """Return the Pareto front of cost and error by rising cost, one point of equal ones."""
    keep = non_dominated([(point.flops, point.error) for point in points])
    front: dict[tuple[float, float], Point] = {}
    for point in (p for p, kept in zip(points, keep, strict=True) if kept):
        front.setdefault((point.flops, point.error), point)
    return [front[objectives] for objectives in sorted(front)]


def _front_axes(
    axes: Axes, found: Sequence[Point], best: Sequence[Point], known: Sequence[Point]
) -> float:
    """Scale and label the axes; return the error that the upper edge stands for."""
    everything = [*found, *known] or [Point("", 1.0, 1.0)]
    lowest = min(point.error for point in everything)
    reach = lowest * _HIGHEST_OVER_LOWEST
    shown = [p.error for p in (*best, *known) if p.error <= reach]
    highest = max(shown, default=lowest)
    # Room for dots slightly worse than the known functions, not for every failure.
    highest = max([highest, *(p.error for p in found if p.error <= 3.0 * highest)])
    spread = max(math.log10(highest / lowest), 0.3)
    top = highest * 10 ** (0.10 * spread)
    error_axis(axes, lowest / 10 ** (0.10 * spread), top)
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
    axes.step(x, [*y, y[-1]], where="post", color=COLOURS[0], linewidth=1.2, zorder=2)
    trail: list[tuple[float, float]] = []
    for number, level in enumerate(y):
        trail += [(float(v), level) for v in np.linspace(x[number], x[number + 1], 24)]
        if number + 1 < len(y):
            trail += [(x[number + 1], float(v)) for v in np.geomspace(level, y[number + 1], 12)]
    return trail


def _front_key(axes: Axes, has_found: bool, has_known: bool) -> None:
    """Draw the legend; none where there is one kind of mark."""
    if not (has_found and has_known):
        if not has_found and not has_known:
            nothing(axes)
        return
    handles = [
        axes.plot([], [], "o-", color=COLOURS[0], markersize=5, linewidth=1.2)[0],
        axes.plot([], [], "o", color="#9ec9e2", markersize=3.5)[0],
        axes.plot([], [], "D", color=INK, markersize=4)[0],
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
    """Places labels one after another, each where it overlaps least with earlier marks."""

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

    def place(
        self,
        at: tuple[float, float],
        text: str,
        colour: str,
        *,
        needed: bool,
        name: str | None = None,
    ) -> None:
        """Write a label near a point; one not needed is left out if it would collide.

        Args:
            at: The point, in data coordinates.
            text: The label; nothing is drawn for an empty one.
            colour: Of the text.
            needed: Whether it is drawn even where it collides.
            name: The id of the label in an SVG file.
        """
        if not text:
            return
        note = _note(self.axes, at, text, colour)
        note.set_gid(name)
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
        self.axes.plot(points[:, 0], points[:, 1], color=GREY, linewidth=0.5, zorder=2)
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
        fontsize=LABEL_SIZE,
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

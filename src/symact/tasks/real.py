"""Held-out real data sets under covariate shift. Only claims about found functions read them.

``real_sets.json`` lists the sets. ``tools/list_real_sets.py`` wrote it by a rule that reads no
error of any network.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.tasks.bundled import as_numbers, package_of, read_frames
from symact.tasks.instance import MIN_SPREAD, FloatArray, Raw, Source, spread, stream
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS, SHELLS, TRAIN_POINTS
from symact.tasks.registry import Task

#: The share of the rows on the near side of a shift. Training and held-out rows come from it.
_INSIDE = 0.65
#: The share of these rows that is used for training, as in tasks from arrays.
_TRAINED_ON = 5 / 8
#: The least share of rows beyond a shift. Ties at its edge can leave fewer than ``1 - _INSIDE``.
_MIN_BEYOND = 0.2
#: The fewest distinct values of an input along which rows are shifted.
_MIN_VALUES = 20
#: Scores are rounded to so many decimals, so that rounding errors do not change the order of rows.
_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Column:
    """An input of a real data set.

    Attributes:
        name: The name of the column in the data set.
        levels: The values of a text column, in the order of their codes 0, 1, ...; empty if the
            column holds numbers.
    """

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RealSet:
    """A real data set that an installed package bundles.

    Attributes:
        name: The collection and the item, such as ``"MASS/cpus"``. It names the family.
        package: The package that bundles it, as pip names it.
        title: The title as the package states it.
        source: The source as the package states it.
        target: The name of the target column.
        columns: The inputs.
        rows: The number of distinct rows without missing values.
    """

    name: str
    package: str
    title: str
    source: str
    target: str
    columns: tuple[Column, ...]
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """A division of rows by a score.

    Attributes:
        label: The score and the end beyond which rows are out of distribution.
        inside: The indices of the training and held-out rows.
        shells: The indices of the rows beyond, by shell, from near to far.
    """

    label: str
    inside: NDArray[np.intp]
    shells: tuple[NDArray[np.intp], ...]


@cache
def real_sets() -> tuple[RealSet, ...]:
    """Return the real data sets, in the order of their names. No data is read.

    Example:
        >>> [own.rows for own in real_sets() if own.name == "sklearn/diabetes"]
        [442]
    """
    text = resources.files("symact.tasks").joinpath("real_sets.json").read_text(encoding="utf-8")
    return tuple(
        RealSet(
            name=entry["name"],
            package=package_of(entry["name"]),
            title=entry["title"],
            source=entry["source"],
            target=entry["target"],
            columns=tuple(Column(name, tuple(levels)) for name, levels in entry["inputs"].items()),
            rows=entry["rows"],
        )
        for entry in json.loads(text)
    )


def real_task() -> Task:
    """Return the task ``real``. Each data set is one family. Only the split ``test`` exists.

    The rows of an instance are sorted by a score of their inputs. The lower 65% are training and
    held-out rows; rows with the score of the last of them are among them. The other rows are out of
    distribution. They are divided by the score into three shells of equal size. The instances of a
    family use the following scores in turn, each with its upper end (``upper``) and then its lower
    end (``lower``) out of distribution:

    - the first principal component of the standardised inputs (``pc1``);
    - each input with 20 distinct values, those with more distinct values first.

    A shift is left out if less than 20% of the rows are beyond it, or if the targets are constant
    in a shell. A later instance of the same shift (``pc1-upper-2``) has other training rows.

    At most 256 rows and at most five eighths of the lower rows are used for training. The held-out
    points are others of these rows. The first half of the held-out points shares no row with the
    second half. Rows are repeated if there are fewer than the protocol needs. Repeated rows of a
    set are dropped first, so no row is both trained on and measured.

    Raises:
        TaskError: A draw needs a package of the extra ``symact[data]`` that is missing.

    Example:
        >>> real_task().draw("search")
        Traceback (most recent call last):
        symact.errors.TaskError: task 'real': unknown split 'search'; known: test
    """
    sources = tuple(Source(own.name, partial(_draw, position))
                    for position, own in enumerate(real_sets()))  # fmt: skip
    return Task("real", sources, ("test",))


def _draw(position: int, split: str, seed: int, index: int, attempt: int) -> Raw:
    """Draw rows of a shift: for training, held out, and beyond it."""
    x, y = _tables()[position]
    shifts = _shifts(position)
    lap, which = divmod(index, len(shifts))
    shift = shifts[which]
    number = zlib.crc32(real_sets()[position].name.encode())
    rng = stream(number, split, seed, index, attempt)
    inside = rng.permutation(shift.inside)
    train, others = np.split(inside, [min(TRAIN_POINTS, int(_TRAINED_ON * len(inside)))])
    others = others[:HELD_OUT_POINTS]
    halves = [np.resize(others[start::2], HELD_OUT_POINTS // 2) for start in range(2)]
    held_out = np.concatenate(halves)
    train = np.resize(train, TRAIN_POINTS)
    ood = np.stack([np.resize(rng.permutation(shell), SHELL_POINTS) for shell in shift.shells])
    label = f"{shift.label}-{lap + 1}" if lap else shift.label
    return Raw(label, x[train], y[train], x[held_out], y[held_out], x[ood], y[ood])


@cache
def _tables() -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return inputs ``[row, column]`` and targets ``[row, 1]`` of each set.

    Inputs are standardised over all rows. An input that is constant in training keeps this scale.
    """
    frames = read_frames(own.name for own in real_sets())
    return tuple(_table(own, frames[own.name]) for own in real_sets())


def _table(own: RealSet, frame: Any) -> tuple[FloatArray, FloatArray]:
    columns = [*own.columns, Column(own.target, ())]
    rows = np.stack([as_numbers(frame[each.name], each.levels) for each in columns], axis=1)
    rows = rows[np.isfinite(rows).all(axis=1)]
    _, first = np.unique(rows, axis=0, return_index=True)
    rows = rows[np.sort(first)]
    x, y = rows[:, :-1], rows[:, -1:]
    return (x - x.mean(axis=0)) / x.std(axis=0), y


@cache
def _shifts(position: int) -> tuple[_Shift, ...]:
    """Return the usable shifts of a set."""
    x, y = _tables()[position]
    names = tuple(column.name for column in real_sets()[position].columns)
    return tuple(
        shift
        for label, score in _scores(x, names)
        for end, sign in (("upper", 1.0), ("lower", -1.0))
        if (shift := _shift(f"{label}-{end}", sign * score, y)) is not None
    )


def _scores(x: FloatArray, names: tuple[str, ...]) -> Iterator[tuple[str, FloatArray]]:
    """Yield the scores ``[row]`` that sort the rows, each with its name."""
    yield "pc1", np.round(x @ _first_component(x), _DECIMALS)
    values = np.array([len(np.unique(column)) for column in x.T])
    if len(names) > 1:
        for index in np.argsort(-values, kind="stable"):
            if values[index] >= _MIN_VALUES:
                yield names[index], np.round(x[:, index], _DECIMALS)


def _first_component(x: FloatArray) -> FloatArray:
    """Return the first eigenvector of the correlations. Its first large entry is positive."""
    vector: FloatArray = np.linalg.eigh(x.T @ x / len(x))[1][:, -1]
    size = np.abs(vector)
    first = int(np.argmax(size >= size.max() / 2))
    return -vector if vector[first] < 0 else vector


def _shift(label: str, score: FloatArray, y: FloatArray) -> _Shift | None:
    """Return the shift towards large scores, None if it is unusable."""
    order = np.argsort(score, kind="stable")
    edge = score[order[int(_INSIDE * len(order)) - 1]]
    inside, beyond = order[score[order] <= edge], order[score[order] > edge]
    shells = tuple(np.array_split(beyond, len(SHELLS)))
    scale = y[inside].std()
    is_flat = scale == 0 or any(spread(y[shell] / scale) < MIN_SPREAD for shell in shells)
    is_small = len(beyond) < _MIN_BEYOND * len(order)
    return None if is_small or is_flat else _Shift(label, inside, shells)

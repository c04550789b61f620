"""Tasks from user arrays: input checks, fixed sets of rows and random subsets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from symact.errors import TaskError
from symact.tasks.instance import (
    MIN_SPREAD,
    FloatArray,
    Raw,
    Source,
    constant_columns,
    spread,
    stream,
)
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS, SHELLS, SPLITS, TRAIN_POINTS
from symact.tasks.shifts import Shift, pseudo_shifts
from symact.tasks.tables import Table, read_table

#: The number of the random streams of this family. Every family has its own number.
_ARRAYS_STREAM = 4

#: The fewest distinct rows: 40 for training and 8 held out in each of three splits; 8 in each of
#: three shells of each split.
MIN_TRAIN_ROWS = 64
MIN_OOD_ROWS = 72
#: The fewest distinct rows that are divided by pseudo-shifts: some ten in each shell of each split.
MIN_SHIFTED_ROWS = 240

#: The share of ``X_train`` used for training. Each split holds out a third of the other rows.
_TRAINED_ON = 5 / 8
#: The largest share of the available rows in one instance. Instances therefore differ.
_SUBSET = 4 / 5


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows ``[row, column]`` for each purpose. The first ``inputs`` columns are inputs.

    Attributes:
        train: The training rows of all splits.
        held_out: The held-out rows of each split.
        ood: The OOD rows of each split and shell.
        inputs: The number of input columns.
    """

    train: FloatArray
    held_out: tuple[FloatArray, ...]
    ood: tuple[tuple[FloatArray, ...], ...]
    inputs: int

    def draw(self, split: str, seed: int, index: int, attempt: int) -> Raw:
        """Draw a subset of the rows of a split."""
        rng = stream(_ARRAYS_STREAM, split, seed, index, attempt)
        number = SPLITS.index(split)
        train = _resized(rng, self.train, TRAIN_POINTS)
        held_out = _resized(rng, self.held_out[number], HELD_OUT_POINTS)
        ood = np.stack([_resized(rng, rows, SHELL_POINTS) for rows in self.ood[number]])
        parts = [(rows[..., : self.inputs], rows[..., self.inputs :]) for rows in (train, held_out)]
        (x_train, y_train), (x_held_out, y_held_out) = parts
        x_ood, y_ood = ood[..., : self.inputs], ood[..., self.inputs :]
        return Raw(f"{split}-{index}", x_train, y_train, x_held_out, y_held_out, x_ood, y_ood)


def arrays_source(
    x_train: ArrayLike, y_train: ArrayLike, x_ood: ArrayLike, y_ood: ArrayLike, name: str
) -> Source:
    """Check user arrays and assign their rows to splits; see ``Task.from_arrays``.

    Duplicate rows (inputs and targets) are dropped, and so are OOD rows that occur in the training
    data. The splits therefore share no row on which errors are measured. The assignment depends
    only on the set of rows, not on their order or a seed. Columns of data frames are matched by
    name.

    Raises:
        TaskError: An array is unusable. The message names the argument.
    """
    x, y = read_table(x_train, "X_train"), read_table(y_train, "y_train")
    known = _enough(_joined(x, y), "X_train", MIN_TRAIN_ROWS)
    beyond = _outside(
        known, read_table(x_ood, "X_ood").in_order_of(x), read_table(y_ood, "y_ood").in_order_of(y)
    )
    inputs = x.values.shape[1]
    _refuse_constant(known[:, inputs:])
    rows = _assign(known, beyond, inputs)
    _refuse_flat(rows)
    return Source(name, rows.draw)


def shifted_sources(x_train: ArrayLike, y_train: ArrayLike, name: str) -> tuple[Source, ...]:
    """Check user arrays and return a source for each pseudo-shift; see ``Task.from_arrays``.

    Every row has one split in all sources, so no two splits share a row on which errors are
    measured. Pseudo-shifts with (nearly) constant targets in some part are left out.

    Raises:
        TaskError: An array is unusable, or no pseudo-shift is usable.
    """
    x, y = read_table(x_train, "X_train"), read_table(y_train, "y_train")
    rows = _enough(_joined(x, y), "X_train, without X_ood,", MIN_SHIFTED_ROWS)
    inputs = x.values.shape[1]
    _refuse_constant(rows[:, inputs:])
    split = np.random.Generator(np.random.PCG64(0)).permutation(len(rows)) % len(SPLITS)
    found = []
    for shift in pseudo_shifts(rows[:, :inputs], rows[:, inputs:]):
        assigned = _divide(rows, shift, split, inputs)
        try:
            _refuse_flat(assigned)
        except TaskError:
            continue
        found.append(Source(f"{name}: {shift.name}", assigned.draw))
    if not found:
        raise TaskError("y_train is (nearly) constant in the outer parts; give X_ood and y_ood")
    return tuple(found)


def _divide(rows: FloatArray, shift: Shift, split: np.ndarray, inputs: int) -> _Rows:
    """Assign the rows of a pseudo-shift to their splits."""
    trained_on = int(len(shift.inner) * _TRAINED_ON)
    train, rest = shift.inner[:trained_on], shift.inner[trained_on:]
    graded = np.array_split(shift.outer, len(SHELLS))

    def of(places: np.ndarray, k: int) -> FloatArray:
        return np.asarray(rows[places[split[places] == k]])

    held_out = tuple(of(rest, k) for k in range(len(SPLITS)))
    ood = tuple(tuple(of(part, k) for part in graded) for k in range(len(SPLITS)))
    return _Rows(rows[train], held_out, ood, inputs)


def _assign(known: FloatArray, beyond: FloatArray, inputs: int) -> _Rows:
    """Assign every row to a split and a purpose."""
    rng = np.random.Generator(np.random.PCG64(0))  # fixed: the assignment is the same in all draws
    shuffled = known[rng.permutation(len(known))]
    trained_on = int(len(known) * _TRAINED_ON)
    held_out = tuple(shuffled[trained_on + k :: len(SPLITS)] for k in range(len(SPLITS)))
    graded = np.array_split(beyond[_by_distance(beyond, known, inputs)], len(SHELLS))
    mixed = [part[rng.permutation(len(part))] for part in graded]
    ood = tuple(tuple(part[k :: len(SPLITS)] for part in mixed) for k in range(len(SPLITS)))
    return _Rows(shuffled[:trained_on], held_out, ood, inputs)


def _outside(known: FloatArray, x: Table, y: Table) -> FloatArray:
    """Return the distinct OOD rows that do not occur in the training data."""
    rows = _joined(x, y)
    trained_on = {row.tobytes() for row in known + 0.0}
    is_new = np.array([row.tobytes() not in trained_on for row in rows + 0.0], dtype=bool)
    what = "X_ood" if is_new.all() else "X_ood, without the rows of X_train,"
    return _enough(rows[is_new], what, MIN_OOD_ROWS)


def _enough(rows: FloatArray, what: str, least: int) -> FloatArray:
    if len(rows) < least:
        raise TaskError(f"{what} has {len(rows)} distinct rows, at least {least} are needed")
    return rows


def _joined(inputs: Table, targets: Table) -> FloatArray:
    """Return the distinct rows of inputs and targets side by side."""
    here, there = len(inputs.values), len(targets.values)
    if here != there:
        raise TaskError(f"{inputs.name} has {here} rows, {targets.name} has {there}")
    return np.asarray(np.unique(np.hstack([inputs.values, targets.values]), axis=0))


def _refuse_constant(targets: FloatArray) -> None:
    flat = constant_columns(targets)
    if flat.any():
        raise TaskError(f"y_train is constant in column {int(flat.argmax())}; nothing to learn")


def _refuse_flat(rows: _Rows) -> None:
    """Raise if the targets of some set of rows are too flat for a normalised error."""
    inputs = rows.inputs
    scale = rows.train[:, inputs:].std(axis=0)
    flat = constant_columns(rows.train[:, inputs:])
    if flat.any():
        column = int(flat.argmax())
        raise TaskError(f"y_train is constant in column {column}, except for a few rows")
    measured = [(block, "y_train", "its held-out rows") for block in rows.held_out]
    for blocks in rows.ood:
        measured += [
            (block, "y_ood", f"its {shell} shell")
            for block, shell in zip(blocks, SHELLS, strict=True)
        ]
    for block, name, where in measured:
        if spread(block[:, inputs:] / scale) < MIN_SPREAD:
            raise TaskError(f"{name} is (nearly) constant in {where}; give more varied rows")


def _by_distance(rows: FloatArray, train: FloatArray, inputs: int) -> np.ndarray:
    """Return the order of rows ``[row]`` from near to far.

    The distance of a row is its largest excess over the training range, over all input columns, in
    units of that range. Rows inside the range come first. They are ordered by their distance from
    the training mean in standard deviations.
    """
    x, known = rows[:, :inputs], train[:, :inputs]
    low, high = known.min(axis=0), known.max(axis=0)
    flat = constant_columns(known)
    outside = np.maximum(low - x, x - high) / np.where(flat, 1.0, high - low)
    excess = np.maximum(outside, 0.0).max(axis=1)
    centred = (x - known.mean(axis=0)) / np.where(flat, 1.0, known.std(axis=0))
    return np.lexsort(((centred**2).sum(axis=1), excess))


def _resized(rng: np.random.Generator, rows: FloatArray, count: int) -> FloatArray:
    """Return ``count`` rows from a random subset of at most four fifths of the given rows.

    If the subset has fewer rows than ``count``, its rows are repeated. Their numbers of repetitions
    differ by at most one.
    """
    subset = rng.permutation(len(rows))[: min(count, math.ceil(_SUBSET * len(rows)))]
    return rows[np.resize(subset, count)]

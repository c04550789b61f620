"""A task from a user's arrays: checked inputs, fixed sets of rows, random subsets of them."""

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
from symact.tasks.tables import Table, read_table

#: The number of the random streams; no other family has it.
_ARRAYS_STREAM = 4

#: Distinct rows that are needed: 40 to train and 8 held out in each split, 8 in each shell of each.
MIN_TRAIN_ROWS = 64
MIN_OOD_ROWS = 72

#: The part of the training rows that is trained on; the rest is held out, a third in each split.
_TRAINED_ON = 5 / 8
#: An instance sees at most this part of the rows it may see, so that instances differ.
_SUBSET = 4 / 5


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows ``[row, column]``, the first ``inputs`` of whose columns are inputs.

    Attributes:
        train: What every split trains on.
        held_out: One block of rows for each split.
        ood: For each split one block of rows for each shell.
        inputs: The number of input columns.
    """

    train: FloatArray
    held_out: tuple[FloatArray, ...]
    ood: tuple[tuple[FloatArray, ...], ...]
    inputs: int

    def draw(self, split: str, seed: int, index: int, attempt: int) -> Raw:
        """Draw a subset of the rows of a split."""
        rng = stream(_ARRAYS_STREAM, split, seed, index, attempt)
        own = SPLITS.index(split)
        train = _resized(rng, self.train, TRAIN_POINTS)
        held_out = _resized(rng, self.held_out[own], HELD_OUT_POINTS)
        ood = np.stack([_resized(rng, rows, SHELL_POINTS) for rows in self.ood[own]])
        parts = [(rows[..., : self.inputs], rows[..., self.inputs :]) for rows in (train, held_out)]
        (x_train, y_train), (x_held_out, y_held_out) = parts
        x_ood, y_ood = ood[..., : self.inputs], ood[..., self.inputs :]
        return Raw(f"{split}-{index}", x_train, y_train, x_held_out, y_held_out, x_ood, y_ood)


def arrays_source(
    x_train: ArrayLike, y_train: ArrayLike, x_ood: ArrayLike, y_ood: ArrayLike, name: str
) -> Source:
    """Check a user's arrays and fix which row serves in which split; see ``Task.from_arrays``.

    Exact repetitions of a row (inputs and targets) are dropped, and so are OOD rows that are
    training rows: no split measures on a row of another. The sets of rows depend on the rows
    alone, not on their order or a seed. Columns of data frames are matched by their names.

    Raises:
        TaskError: One line that names the argument.
    """
    x, y = read_table(x_train, "X_train"), read_table(y_train, "y_train")
    known = _enough(_joined(x, y), "X_train", MIN_TRAIN_ROWS)
    beyond = _outside(
        known, read_table(x_ood, "X_ood").in_order_of(x), read_table(y_ood, "y_ood").in_order_of(y)
    )
    inputs = x.values.shape[1]
    _refuse_constant(known[:, inputs:])
    found = _deal(known, beyond, inputs)
    _refuse_flat(found)
    return Source(name, found.draw)


def _deal(known: FloatArray, beyond: FloatArray, inputs: int) -> _Rows:
    """Assign every row to its part of its split."""
    rng = np.random.Generator(np.random.PCG64(0))  # fixed: the seed of a draw must not move rows
    shuffled = known[rng.permutation(len(known))]
    trained_on = int(len(known) * _TRAINED_ON)
    held_out = tuple(shuffled[trained_on + k :: len(SPLITS)] for k in range(len(SPLITS)))
    graded = np.array_split(beyond[_by_distance(beyond, known, inputs)], len(SHELLS))
    mixed = [part[rng.permutation(len(part))] for part in graded]
    ood = tuple(tuple(part[k :: len(SPLITS)] for part in mixed) for k in range(len(SPLITS)))
    return _Rows(shuffled[:trained_on], held_out, ood, inputs)


def _outside(known: FloatArray, x: Table, y: Table) -> FloatArray:
    """Return the distinct OOD rows that are no training rows."""
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
    """Refuse sets of rows on which a normalised error would mean nothing."""
    inputs = rows.inputs
    scale = rows.train[:, inputs:].std(axis=0)
    flat = constant_columns(rows.train[:, inputs:])
    if flat.any():
        column = int(flat.argmax())
        raise TaskError(f"y_train is constant in column {column} but for a few rows")
    places = [(block, "y_train", "its held-out rows") for block in rows.held_out]
    for blocks in rows.ood:
        places += [
            (block, "y_ood", f"its {shell} shell")
            for block, shell in zip(blocks, SHELLS, strict=True)
        ]
    for block, name, where in places:
        if spread(block[:, inputs:] / scale) < MIN_SPREAD:
            raise TaskError(f"{name} is (nearly) constant in {where}; give more varied rows")


def _by_distance(rows: FloatArray, train: FloatArray, inputs: int) -> np.ndarray:
    """Return the order of rows ``[row]`` from near to far.

    Far is what leaves the training range most, in units of that range and in the worst column;
    rows that do not leave it are ranked, before all others, by their distance from the training
    mean in training deviations.
    """
    x, known = rows[:, :inputs], train[:, :inputs]
    low, high = known.min(axis=0), known.max(axis=0)
    flat = constant_columns(known)
    outside = np.maximum(low - x, x - high) / np.where(flat, 1.0, high - low)
    excess = np.maximum(outside, 0.0).max(axis=1)
    centred = (x - known.mean(axis=0)) / np.where(flat, 1.0, known.std(axis=0))
    return np.lexsort(((centred**2).sum(axis=1), excess))


def _resized(rng: np.random.Generator, rows: FloatArray, count: int) -> FloatArray:
    """Return ``count`` rows from a random subset of at most four fifths of the rows given.

    With enough rows no row comes twice; with fewer, each of the subset comes equally often, but
    for one.
    """
    subset = rng.permutation(len(rows))[: min(count, math.ceil(_SUBSET * len(rows)))]
    return rows[np.resize(subset, count)]

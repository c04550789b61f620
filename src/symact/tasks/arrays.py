"""A task from a user's arrays: checks at the border, fixed row sets, random subsets of them."""

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

#: Distinct rows that are needed: 40 to train and 8 held out in each split, 8 in each shell of each.
MIN_TRAIN_ROWS = 64
MIN_OOD_ROWS = 72

#: The part of the training rows that is trained on; the rest is held out, a third in each split.
_TRAINED_ON = 5 / 8
#: An instance sees at most this part of the rows it may see, so that instances differ.
_SUBSET = 4 / 5
_LARGEST = 1e30


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
        rng = stream("arrays", split, seed, index, attempt)
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

    Exact repetitions of a row (inputs and targets) are dropped, so that no split measures on a
    row of another. The sets of rows depend on the rows alone, not on their order or a seed.

    Raises:
        TaskError: One line that names the argument.
    """
    known = _joined(x_train, y_train, "train", MIN_TRAIN_ROWS)
    beyond = _joined(x_ood, y_ood, "ood", MIN_OOD_ROWS)
    for axis, here, there in zip("Xy", beyond[1:], known[1:], strict=True):
        if here != there:
            raise TaskError(f"{axis}_ood has {here} column(s), {axis}_train has {there}")
    rows, inputs, _ = known
    _refuse_constant(rows[:, inputs:])
    rng = np.random.Generator(np.random.PCG64(0))  # fixed: the seed of a draw must not move rows
    shuffled = rows[rng.permutation(len(rows))]
    trained_on = int(len(rows) * _TRAINED_ON)
    held_out = tuple(shuffled[trained_on + k :: len(SPLITS)] for k in range(len(SPLITS)))
    graded = np.array_split(beyond[0][_by_distance(beyond[0], rows, inputs)], len(SHELLS))
    mixed = [part[rng.permutation(len(part))] for part in graded]
    ood = tuple(tuple(part[k :: len(SPLITS)] for part in mixed) for k in range(len(SPLITS)))
    found = _Rows(shuffled[:trained_on], held_out, ood, inputs)
    _refuse_flat(found)
    return Source(name, found.draw)


def _joined(x: ArrayLike, y: ArrayLike, which: str, least: int) -> tuple[FloatArray, int, int]:
    """Return the distinct rows of ``[x, y]`` with the numbers of input and target columns."""
    inputs, targets = _matrix(x, f"X_{which}"), _matrix(y, f"y_{which}")
    if len(inputs) != len(targets):
        raise TaskError(f"X_{which} has {len(inputs)} rows, y_{which} has {len(targets)}")
    rows = np.unique(np.hstack([inputs, targets]), axis=0)
    if len(rows) < least:
        raise TaskError(f"X_{which} has {len(rows)} distinct rows, at least {least} are needed")
    return rows, inputs.shape[1], targets.shape[1]


def _matrix(values: ArrayLike, name: str) -> FloatArray:
    """Return ``[row]`` or ``[row, column]`` as finite float64 ``[row, column]``."""
    try:
        raw = np.asarray(values)
        if np.iscomplexobj(raw):
            raise TypeError
        array = raw.astype(np.float64)
    except (TypeError, ValueError):
        raise TaskError(f"{name} is no array of real numbers") from None
    if array.ndim not in (1, 2):
        raise TaskError(f"{name} has {array.ndim} dimensions, expected [row] or [row, column]")
    matrix = array[:, None] if array.ndim == 1 else array
    if matrix.shape[1] == 0:
        raise TaskError(f"{name} has no columns")
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise TaskError(f"{name} holds NaN or infinity, first in row {int(bad.argmax())}")
    if np.abs(matrix).max(initial=0.0) > _LARGEST:
        raise TaskError(f"{name} holds numbers above {_LARGEST:g}; give it in larger units")
    return matrix


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

"""The regression problem, and what turns raw points into one: streams, scaling, refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from symact.errors import TaskError
from symact.tasks.protocol import SPLITS

FloatArray = NDArray[np.float64]

#: A draw whose targets vary less than this, in training standard deviations, is drawn again:
#: an error divided by so small a variance would measure an offset, not the shape.
MIN_SPREAD = 0.02
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One regression problem, standardised by the statistics of its training points.

    All arrays are float32.

    Attributes:
        name: Unique within a draw, such as ``"polynomial/test-3"`` or ``"feynman/I.12.1"``.
        family: What it is aggregated with.
        x_train: ``[point, input]``.
        y_train: ``[point, output]``.
        x_held_out: ``[point, input]``, fresh points of the training distribution.
        y_held_out: ``[point, output]``.
        x_ood: ``[shell, point, input]``, shells near, middle, far.
        y_ood: ``[shell, point, output]``.
    """

    name: str
    family: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.float32]
    x_held_out: NDArray[np.float32]
    y_held_out: NDArray[np.float32]
    x_ood: NDArray[np.float32]
    y_ood: NDArray[np.float32]


class Raw(NamedTuple):
    """The points of one instance in their own units, float64, axes as in :class:`Instance`."""

    label: str
    x_train: FloatArray
    y_train: FloatArray
    x_held_out: FloatArray
    y_held_out: FloatArray
    x_ood: FloatArray
    y_ood: FloatArray


@dataclass(frozen=True, slots=True)
class Source:
    """Where the instances of one family come from.

    Attributes:
        family: The family's name.
        draw: ``(split, seed, index, attempt)`` to raw points; a pure function.
        input_floor: Inputs are divided by their training deviation or this, whichever is larger.
    """

    family: str
    draw: Callable[[str, int, int, int], Raw]
    input_floor: float = 0.0


def stream(family: int, split: str, seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return the random stream of one instance.

    Args:
        family: The number of the family's streams; every family has its own.
        split: The split of the instance.
        seed: The seed. It is the last word of entropy because it alone can exceed 32 bits; so no
            two lists of arguments have the same entropy.
        index: The number of the instance.
        attempt: The number of the draw, counted from 0.
    """
    entropy = [family, SPLITS.index(split), index, attempt, seed]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def instance(source: Source, split: str, seed: int, index: int) -> Instance:
    """Return one usable instance, redrawing from the next stream while a draw is degenerate.

    Raises:
        TaskError: Every attempt was degenerate, which only a user's arrays can cause.
    """
    for attempt in range(_ATTEMPTS):
        drawn = standardise(source, source.draw(split, seed, index, attempt))
        if _is_usable(drawn):
            return drawn
    raise TaskError(
        f"task '{source.family}', split '{split}', instance {index}: in {_ATTEMPTS} draws the "
        "targets of some part were (nearly) constant or not finite; give more or smoother rows"
    )


def standardise(source: Source, raw: Raw) -> Instance:
    """Scale inputs and targets by the mean and deviation of the training points, per column."""
    x_mean, x_scale = _statistics(raw.x_train, source.input_floor)
    y_mean, y_scale = _statistics(raw.y_train, 0.0)

    def scaled(values: FloatArray, mean: FloatArray, scale: FloatArray) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            return ((values - mean) / scale).astype(np.float32)

    return Instance(
        name=f"{source.family}/{raw.label}",
        family=source.family,
        x_train=scaled(raw.x_train, x_mean, x_scale),
        y_train=scaled(raw.y_train, y_mean, y_scale),
        x_held_out=scaled(raw.x_held_out, x_mean, x_scale),
        y_held_out=scaled(raw.y_held_out, y_mean, y_scale),
        x_ood=scaled(raw.x_ood, x_mean, x_scale),
        y_ood=scaled(raw.y_ood, y_mean, y_scale),
    )


def constant_columns(values: FloatArray) -> NDArray[np.bool_]:
    """Return for each column of ``[row, column]`` whether it varies by no more than rounding."""
    largest: FloatArray = np.abs(values).max(axis=0)
    return np.asarray(values.std(axis=0) <= 1e-10 * largest)


def _statistics(values: FloatArray, floor: float) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of each column; a constant column keeps its units, at least."""
    deviation = np.where(constant_columns(values), 1.0, values.std(axis=0))
    return values.mean(axis=0), np.maximum(deviation, floor)


def _is_usable(drawn: Instance) -> bool:
    """Whether all values are finite and the targets vary wherever an error is measured."""
    inputs = (drawn.x_train, drawn.x_held_out, drawn.x_ood)
    targets = (drawn.y_train, drawn.y_held_out, *drawn.y_ood)
    return all(np.isfinite(values).all() for values in (*inputs, *targets)) and all(
        spread(values) >= MIN_SPREAD for values in targets
    )


def spread(targets: NDArray[np.floating]) -> float:
    """Return the root mean variance of the columns of ``[point, output]``."""
    return float(np.sqrt(np.asarray(targets, dtype=np.float64).var(axis=0).mean()))

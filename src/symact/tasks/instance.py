"""Instances of regression problems: random streams, standardisation and checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from symact.errors import TaskError
from symact.tasks.protocol import SPLITS

FloatArray = NDArray[np.float64]

#: The smallest spread of targets, in training standard deviations. A draw below it is repeated. A
#: normalised error with so small a variance would measure an offset instead of the shape.
MIN_SPREAD = 0.02
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One regression problem, standardised by the statistics of its training points.

    All arrays are float32.

    Attributes:
        name: A unique name within a draw, such as ``"polynomial/test-3"`` or ``"feynman/I.12.1"``.
        family: The family over which scores are aggregated.
        x_train: ``[point, input]``.
        y_train: ``[point, output]``.
        x_held_out: ``[point, input]``, new points of the training distribution.
        y_held_out: ``[point, output]``.
        x_ood: ``[shell, point, input]``, with the shells near, middle and far.
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
    """The float64 points of an instance in original units, with the axes of :class:`Instance`."""

    label: str
    x_train: FloatArray
    y_train: FloatArray
    x_held_out: FloatArray
    y_held_out: FloatArray
    x_ood: FloatArray
    y_ood: FloatArray


@dataclass(frozen=True, slots=True)
class Source:
    """The generator of the instances of one family.

    Attributes:
        family: The name of the family.
        draw: A pure function of ``(split, seed, index, attempt)`` that returns raw points.
        input_floor: The smallest scale of an input. Inputs are divided by their training standard
            deviation or by this, whichever is larger.
        growth_limit: The largest spread of the targets of a shell, in training standard deviations.
            A draw above it is repeated.
        advice: What a user can do if no draw is usable.
    """

    family: str
    draw: Callable[[str, int, int, int], Raw]
    input_floor: float = 0.0
    growth_limit: float = math.inf
    advice: str = "give more or smoother rows"


def stream(family: int, split: str, seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return the random stream of one instance.

    Different arguments give different entropy, so no two splits share a stream. The seed is the
    last word of the entropy, because only a seed may exceed 32 bits.

    Args:
        family: The number of the streams of a family. Every family has its own number.
        split: The split of the instance.
        seed: The seed of the draw.
        index: The index of the instance.
        attempt: The index of the attempt to draw the instance.
    """
    entropy = [family, SPLITS.index(split), index, attempt, seed]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def instance(source: Source, split: str, seed: int, index: int) -> Instance:
    """Draw one usable instance. A degenerate draw is repeated with the next stream.

    Raises:
        TaskError: All attempts were degenerate.
    """
    for attempt in range(_ATTEMPTS):
        drawn = standardise(source, source.draw(split, seed, index, attempt))
        if is_usable(drawn, source.growth_limit):
            return drawn
    raise TaskError(
        f"task '{source.family}', split '{split}', instance {index}: the targets were (nearly) "
        f"constant, too large or not finite in all {_ATTEMPTS} draws; {source.advice}"
    )


def standardise(source: Source, raw: Raw) -> Instance:
    """Standardise each column by the mean and standard deviation of the training points."""
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
    """Return for each column of ``[row, column]`` whether it is constant up to rounding."""
    largest: FloatArray = np.abs(values).max(axis=0)
    return np.asarray(values.std(axis=0) <= 1e-10 * largest)


def _statistics(values: FloatArray, floor: float) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of each column. The scale of a constant column is at least 1."""
    deviation = np.where(constant_columns(values), 1.0, values.std(axis=0))
    return values.mean(axis=0), np.maximum(deviation, floor)


def is_usable(drawn: Instance, growth_limit: float = math.inf) -> bool:
    """Whether all values are finite and the targets vary in every measured part, within a limit.

    Args:
        drawn: A standardised instance.
        growth_limit: The largest spread of the targets of a shell.
    """
    inputs = (drawn.x_train, drawn.x_held_out, drawn.x_ood)
    targets = (drawn.y_train, drawn.y_held_out, *drawn.y_ood)
    return (
        all(np.isfinite(values).all() for values in (*inputs, *targets))
        and all(spread(values) >= MIN_SPREAD for values in targets)
        and all(spread(values) <= growth_limit for values in drawn.y_ood)
    )


def spread(targets: NDArray[np.floating]) -> float:
    """Return the root mean variance of the columns of ``[point, output]``."""
    return float(np.sqrt(np.asarray(targets, dtype=np.float64).var(axis=0).mean()))

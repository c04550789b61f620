"""Points in graded boxes, and the two families of random functions drawn on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from symact.tasks.instance import FloatArray, Raw, Source, stream
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS, SHELLS, TRAIN_POINTS

#: The number of the random streams; no other family has it.
_POLYNOMIAL_STREAM = 0
_HARMONIC_STREAM = 1

#: A shell holds the points whose largest coordinate, in units of the training range, is above
#: the first edge and at most the second: near (1, 4/3], middle (4/3, 5/3], far (5/3, 2].
SHELL_EDGES = ((1.0, 4 / 3), (4 / 3, 5 / 3), (5 / 3, 2.0))
assert len(SHELL_EDGES) == len(SHELLS)

_DEGREE = 3
_WAVES = 3
_FREQUENCIES = (0.5, 3.0)
_AMPLITUDES = (0.5, 1.5)


def shell(
    rng: np.random.Generator, count: int, dimension: int, edges: tuple[float, float]
) -> FloatArray:
    """Return points uniform where ``edges[0] < max(u) <= edges[1]`` and all coordinates >= 0.

    Returns:
        Points ``[point, input]`` in units of the training range, which is ``[0, 1]`` in each.
    """
    inner, outer = (edge**dimension for edge in edges)
    # The volume within radius r is r**d: invert it, then put one random coordinate at r.
    radius = (inner + (1.0 - rng.random(count)) * (outer - inner)) ** (1.0 / dimension)
    points = rng.random((count, dimension)) * radius[:, None]
    points[np.arange(count), rng.integers(dimension, size=count)] = radius
    return points


def on_box(
    label: str,
    function: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    rng: np.random.Generator,
    *,
    centred: bool = False,
) -> Raw:
    """Evaluate a function on a training box and on the three shells around it.

    Args:
        label: What the instance is called within its family.
        function: Points ``[point, input]`` to targets ``[point, output]``.
        low: The lower corner of the training box, ``[input]``.
        high: The upper corner.
        rng: The instance's stream.
        centred: Whether shells surround the box; otherwise they grow from its lower corner, so
            that no coordinate falls below ``low``.
    """
    origin, reach = ((low + high) / 2, (high - low) / 2) if centred else (low, high - low)

    def placed(unit: FloatArray) -> FloatArray:
        signs = rng.choice((-1.0, 1.0), size=unit.shape) if centred else 1.0
        return np.asarray(origin + signs * unit * reach)

    dimension = len(low)
    x_train = placed(rng.random((TRAIN_POINTS, dimension)))
    x_held_out = placed(rng.random((HELD_OUT_POINTS, dimension)))
    x_ood = [placed(shell(rng, SHELL_POINTS, dimension, edges)) for edges in SHELL_EDGES]
    return Raw(
        label,
        x_train,
        function(x_train),
        x_held_out,
        function(x_held_out),
        np.stack(x_ood),
        np.stack([function(x) for x in x_ood]),
    )


def _polynomial(split: str, seed: int, index: int, attempt: int) -> Raw:
    """Draw a polynomial of total degree 3 in two variables on ``[-1, 1]**2``.

    Its ten coefficients are uniform on [-1, 1].
    """
    rng = stream(_POLYNOMIAL_STREAM, split, seed, index, attempt)
    powers = [p for p in itertools.product(range(_DEGREE + 1), repeat=2) if sum(p) <= _DEGREE]
    coefficients = rng.uniform(-1.0, 1.0, len(powers))

    def function(x: FloatArray) -> FloatArray:
        terms = [
            c * x[:, 0] ** i * x[:, 1] ** j for c, (i, j) in zip(coefficients, powers, strict=True)
        ]
        return np.asarray(sum(terms))[:, None]

    return on_box(f"{split}-{index}", function, -np.ones(2), np.ones(2), rng, centred=True)


def _harmonic(split: str, seed: int, index: int, attempt: int) -> Raw:
    """Draw a sum of three sines on ``[-pi, pi]``.

    Frequencies are uniform on [0.5, 3] radians per unit, amplitudes on [0.5, 1.5], phases on
    the circle.
    """
    rng = stream(_HARMONIC_STREAM, split, seed, index, attempt)
    frequency = rng.uniform(*_FREQUENCIES, _WAVES)
    amplitude = rng.uniform(*_AMPLITUDES, _WAVES)
    phase = rng.uniform(0.0, 2 * math.pi, _WAVES)

    def function(x: FloatArray) -> FloatArray:
        waves: FloatArray = amplitude * np.sin(frequency * x + phase)
        return np.asarray(waves.sum(axis=1, keepdims=True))

    end = np.array([math.pi])
    return on_box(f"{split}-{index}", function, -end, end, rng, centred=True)


POLYNOMIAL = Source("polynomial", _polynomial)
HARMONIC = Source("harmonic", _harmonic)

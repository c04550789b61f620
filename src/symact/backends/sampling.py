"""Grids of sample points at which functions are compared, for any number of inputs.

Each use has its own grid. A grid is a line of points for one input. For several inputs, each
coordinate has a different permutation of the line, as in a Latin hypercube.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Sample points for any number of inputs.

    Attributes:
        line: The points of one input, float64 ``[point]``.
        bands: Absolute values that divide the line into bands. All coordinates of a point are in
            the same band: a point near 0 is near 0 in every coordinate.
    """

    line: FloatArray
    bands: tuple[float, ...] = ()

    def points(self, inputs: int = 1) -> FloatArray:
        """Return the points, float64 ``[input, point]``. The first row is the line.

        Example:
            >>> Grid(np.array([-2.0, -1.0, 1.0, 2.0]), bands=(1.5,)).points(2)
            array([[-2., -1.,  1.,  2.],
                   [-2.,  1., -1.,  2.]])
        """
        return _points(self, inputs)


@functools.lru_cache(maxsize=64)
def _points(grid: Grid, inputs: int) -> FloatArray:
    band = np.searchsorted(grid.bands, np.abs(grid.line)) if grid.bands else 0 * grid.line
    rows = [grid.line]
    rng = np.random.Generator(np.random.PCG64(7919))
    for _ in range(inputs - 1):
        row = grid.line.copy()
        for number in np.unique(band):
            members = np.flatnonzero(band == number)
            row[members] = row[rng.permutation(members)]
        rows.append(row)
    points = np.stack(rows)
    points.setflags(write=False)
    return points


#: The grid of the screen: dense at typical pre-activations, sparse for large values.
SCREEN = Grid(
    np.concatenate([np.linspace(-8, 8, 129), [-100, -50, -30, -20, -12, 12, 20, 30, 50, 100]]),
    bands=(4.0, 8.0),
)
#: A second, asymmetric sample for functions of batch statistics.
SKEWED = Grid(np.random.default_rng(1710).normal(0.7, 2.3, 117))
#: The grid of the features of the surrogate.
SURROGATE = Grid(np.sinh(np.linspace(-3.4, 3.4, 61)), bands=(4.0,))
#: The grid of the signatures that novelty compares.
NOVELTY = Grid(np.linspace(-4, 4, 33))
#: The grid on which a simplified expression is compared with the original.
SIMPLIFICATION = Grid(
    np.unique(
        np.concatenate(
            [
                np.linspace(-50, 50, 2001),
                np.linspace(-5, 5, 640),
                *([sign * 10.0**power] for sign in (-1, 1) for power in (-20, -9, -3, 2, 3, 4)),
            ]
        )
    ),
    bands=(5.0, 50.0),
)
#: The grid for kinks: jumps of the slope between neighbouring points.
BEHAVIOUR = Grid(np.linspace(-8.0, 8.0, 16 * 64 + 1))
#: The grid for asymptotic behaviour on one side: two intervals a factor of 4 apart.
BEHAVIOUR_FAR = Grid(np.concatenate([np.linspace(40, 50, 48), np.linspace(160, 200, 48)]))
#: The points per octave, and the positive points, of the grid for recognition.
OCTAVE = 32
RECOGNITION_SIDE = Grid(np.geomspace(2.0**-8, 2.0**6, 14 * OCTAVE + 1))
#: The grid for recognition: logarithmic on both sides of 0.
RECOGNITION = Grid(np.concatenate([-RECOGNITION_SIDE.line[::-1], [0.0], RECOGNITION_SIDE.line]))
#: Shift of the grids that look for kinks. Kinks are likely at round numbers, which these avoid.
_OFF_ROUND = 1.7e-4
#: The grid between whose points the kinks of a smoothed function are looked for.
KINKS = Grid(np.linspace(-50.0, 50.0, 20001) + _OFF_ROUND)
#: The grids of an entropy correction: the ends of the cells of integrals, points between them where
#: slopes are compared, and points at which a correction must be finite.
ENTROPY_CELLS = Grid(np.linspace(-10.0, 10.0, 81))
ENTROPY_FINE = Grid(np.linspace(-10.0, 10.0, 8001) + _OFF_ROUND)
ENTROPY_PROBE = Grid(np.linspace(-50.0, 50.0, 4001))

#: Constants to round the mantissa of a double to 16 bits: half a unit, and the mask of kept bits.
_HALF, _KEPT = 1 << (52 - 16 - 1), -1 << (52 - 16)
#: The index of the point -x for each point x of the line of the screen, ``[point]``.
_OPPOSITE: NDArray[np.int64] = np.empty(len(SCREEN.line), dtype=np.int64)
_OPPOSITE[np.argsort(SCREEN.line)] = np.argsort(SCREEN.line)[::-1]


def opposite(values: FloatArray) -> FloatArray:
    """Return the values of f(-x) on the line of :data:`SCREEN`, which is symmetric.

    Args:
        values: Values of f(x) there, float64 ``[point]``.

    Example:
        >>> bool((opposite(np.tanh(SCREEN.line)) == np.tanh(-SCREEN.line)).all())
        True
    """
    return values[_OPPOSITE]


def mirror_key(values: FloatArray, mirrored: FloatArray) -> str:
    """Return a hash that is equal for f(x), -f(x), f(-x) and -f(-x).

    Mantissas are rounded to 16 bits, and absolute values below 1e-6 to zero. The tolerance is
    larger than that of :func:`fingerprint`, because the formula of a mirror image may cancel large
    terms. An example is ``x - gelu(x)`` for -GELU(-x).

    Args:
        values: Values of f(x), float64 ``[point]``, finite.
        mirrored: Values of f(-x) at the same points.

    Example:
        >>> up, down = np.tanh(SCREEN.line) + 1, np.tanh(SCREEN.line) - 1
        >>> mirror_key(up, opposite(up)) == mirror_key(down, opposite(down))
        True
    """
    images = [_rounded(own) for own in (values, mirrored)]
    images += [0.0 - image for image in images]
    return _digest(min(image.tobytes() for image in images))


def _rounded(values: FloatArray) -> FloatArray:
    rounded = ((values.view(np.int64) + _HALF) & _KEPT).view(np.float64)
    rounded[np.abs(rounded) < 1e-6] = 0.0
    return rounded


def fingerprint(values: FloatArray) -> str:
    """Return a hash of values rounded to about seven digits.

    Functions that differ only by rounding errors have the same fingerprint.

    Args:
        values: Finite values, float64 ``[point]``.

    Example:
        >>> fingerprint(np.array([0.1 + 0.2])) == fingerprint(np.array([0.3]))
        True
    """
    mantissa, exponent = np.frexp(values + 0.0)
    rounded = np.ldexp(np.round(mantissa * 2**22) / 2**22, exponent) + 0.0
    rounded[np.abs(rounded) < 1e-12] = 0.0
    return _digest(rounded.tobytes())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]

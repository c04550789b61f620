"""The points at which functions are compared, and fingerprints of their values."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

#: Where candidates must be finite: densely where activations live, sparsely far outside.
GRID: NDArray[np.float64] = np.concatenate(
    [np.linspace(-8, 8, 129), [-100.0, -50.0, -30.0, -20.0, -12.0, 12.0, 20.0, 30.0, 50.0, 100.0]]
)


def fingerprint(values: NDArray[np.float64]) -> str:
    """Hash values to about seven digits, so that rounding does not tell equal functions apart."""
    mantissa, exponent = np.frexp(values + 0.0)
    rounded = np.ldexp(np.round(mantissa * 2**22) / 2**22, exponent) + 0.0
    rounded[np.abs(rounded) < 1e-12] = 0.0
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:24]

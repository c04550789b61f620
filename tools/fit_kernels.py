"""Fit the polynomial coefficients of ``symact.lower._kernels`` and print them.

Weighted least squares on Chebyshev nodes with a few Lawson re-weightings, which comes close to the
minimax polynomial, evaluated against mpmath-free float64 references from scipy.

Run: ``python tools/fit_kernels.py``
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


def lawson(basis: Array, target: Array, weight: Array, rounds: int = 60) -> Array:
    """Return coefficients minimising the largest weighted residual, approximately."""
    load = np.ones_like(target)
    best, best_error = np.zeros(basis.shape[1]), np.inf
    for _ in range(rounds):
        scale = weight * np.sqrt(load)
        coefficients = np.linalg.lstsq(basis * scale[:, None], target * scale, rcond=None)[0]
        residual = np.abs((basis @ coefficients - target) * weight)
        if residual.max() < best_error:
            best, best_error = coefficients, residual.max()
        load = load * residual
        load /= load.mean()
        load += 1e-12
    return best


def fit(
    name: str,
    low: float,
    high: float,
    degree: int,
    target: Callable[[Array], Array],
    weight: Callable[[Array], Array],
) -> None:
    nodes = np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    t = low + (high - low) * (nodes + 1) / 2
    basis = t[:, None] ** np.arange(degree + 1)
    coefficients = lawson(basis, target(t), weight(t))
    error = np.abs((basis @ coefficients - target(t)) * weight(t)).max()
    print(f"{name}: [{low:.6g}, {high:.6g}] weighted error {error:.2e}")
    print("   ", ", ".join(f"{c:.9e}" for c in coefficients))


def main() -> None:
    half = np.log(2) / 2
    # expm1(r) = r + r^2 P(r)
    fit(
        "expm1",
        -half * 1.01,
        half * 1.01,
        5,
        lambda r: (np.expm1(r) - r) / r**2,
        lambda r: r**2 / np.abs(np.expm1(r)),
    )
    # log(1 + f) = f - f^2/2 + f^3 P(f)
    low, high = np.sqrt(0.5) - 1, np.sqrt(2) - 1
    fit(
        "log1p",
        low,
        high,
        8,
        lambda f: (np.log1p(f) - f + f**2 / 2) / f**3,
        lambda f: np.abs(f**3 / np.log1p(f)),
    )
    # sin(r) = r + r^3 P(r^2), cos(r) = 1 - r^2/2 + r^4 P(r^2), r in [0, pi/4]
    top = (np.pi / 4) ** 2 * 1.01
    fit(
        "sin",
        1e-6,
        top,
        3,
        lambda u: (np.sin(np.sqrt(u)) / np.sqrt(u) - 1) / u,
        lambda u: u,
    )
    fit(
        "cos",
        1e-3,
        top,
        3,
        lambda u: (np.cos(np.sqrt(u)) - 1 + u / 2) / u**2,
        lambda u: u**2,
    )
    # atan(v) = v + v^3 P(v^2), v in [0, 1]
    fit(
        "atan",
        1e-6,
        1.0,
        9,
        lambda u: (np.arctan(np.sqrt(u)) / np.sqrt(u) - 1) / u,
        lambda u: u,
    )
    # erf(z) = z P(z^2), z in [0, 0.75]
    fit(
        "erf",
        1e-9,
        0.75**2,
        6,
        lambda u: special.erf(np.sqrt(u)) / np.sqrt(u),
        lambda u: np.ones_like(u),
    )
    # erfc(z) exp(z^2) = t P(t), t = 1 / (1 + 0.4 z), z in [0, 14]
    fit(
        "erfcx",
        1 / (1 + 0.4 * 14),
        1.0,
        10,
        lambda t: special.erfcx((1 / t - 1) / 0.4) / t,
        lambda t: t / special.erfcx((1 / t - 1) / 0.4),
    )


if __name__ == "__main__":
    main()

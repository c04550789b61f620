"""Fit the coefficients of the elementary functions and write ``backends/coefficients.py``.

For float32: weighted least squares on Chebyshev nodes with Lawson's re-weighting, which comes close
to the minimax polynomial or, linearised, rational function; references from scipy in float64.
For float64: Chebyshev interpolation at 40 digits (``mpmath.chebyfit``).

Run: ``python tools/fit_kernels.py``, which takes a minute and prints the error of each fit; then
``python tools/generate_kernels.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
#: The texts of a function's coefficients, from the highest power down.
Texts = list[str]

TARGET = Path(__file__).parents[1] / "src" / "symact" / "backends" / "coefficients.py"
HEAD = '''"""Coefficients of the elementary functions, written by ``tools/fit_kernels.py``.

The coefficients are in the order of Horner's scheme, from the highest power. The tool documents the
functions that they approximate.
"""

from __future__ import annotations
'''
OF_SINGLE = "float32 coefficients by function. A quotient has the rows ``_over`` and ``_under``."
OF_DOUBLE = (
    "float64 coefficients by function. ``ln2`` and ``pi`` are sums whose first terms have few bits."
)


def nodes(low: float, high: float, count: int = 4000) -> Array:
    t = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return low + (high - low) * (t + 1) / 2


def told(name: str, error: float, coefficients: Array) -> Texts:
    """Print the error of a fit; return its coefficients, given from the constant up."""
    print(f"{name}: weighted error {error:.2e}")
    return [f"{c:.9e}" for c in coefficients[::-1]]


def polynomial(
    name: str,
    low: float,
    high: float,
    degree: int,
    target: Callable[[Array], Array],
    weight: Callable[[Array], Array],
) -> Texts:
    """Fit sum c_k t**k to the target."""
    t = nodes(low, high)
    basis, load = t[:, None] ** np.arange(degree + 1), np.ones_like(t)
    best, best_error = np.zeros(degree + 1), np.inf
    for _ in range(200):
        scale = weight(t) * np.sqrt(load)
        found = np.linalg.lstsq(basis * scale[:, None], target(t) * scale, rcond=None)[0]
        residual = np.abs((basis @ found - target(t)) * weight(t))
        if residual.max() < best_error:
            best, best_error = found, residual.max()
        load = load * residual
        load = load / load.mean() + 1e-12
    return told(f"{name} on [{low:.6g}, {high:.6g}]", best_error, best)


def rational(
    v: Array,
    target: Array,
    over: int,
    under: int,
    weight: float | Array = 1.0,
) -> tuple[Array, Array, float]:
    """Fit N(v) / D(v), D(0) = 1, to the target; return N, D and the weighted relative error."""
    numerator, denominator = v[:, None] ** np.arange(over + 1), v[:, None] ** np.arange(under + 1)
    load, below, best_error = np.ones_like(v), np.ones_like(v), np.inf
    best = np.zeros(over + under + 1)
    for _ in range(600):
        basis = np.concatenate([numerator, -target[:, None] * denominator[:, 1:]], axis=1)
        scale = np.sqrt(load) * weight / np.abs(below * target)
        found = np.linalg.lstsq(basis * scale[:, None], target * scale, rcond=None)[0]
        below = 1 + denominator[:, 1:] @ found[over + 1 :]
        residual = np.abs(numerator @ found[: over + 1] / below / target - 1) * weight
        if residual.max() < best_error:
            best, best_error = found, residual.max()
        load = load * (residual / residual.mean() + 0.02) ** 0.7
        load = load / load.mean()
    return best[: over + 1], np.r_[1, best[over + 1 :]], best_error


def quotient(
    name: str,
    scale: float,
    fit: tuple[Array, Array, float],
    raised: float = 1.0,
) -> dict[str, Texts]:
    """Return a fit in x / scale as two rows of coefficients in x; N is multiplied by ``raised``."""
    top, bottom, error = fit
    return {
        f"{name}_over": told(f"{name}, N", error, raised * top / scale ** np.arange(len(top))),
        f"{name}_under": told(f"{name}, D", error, bottom / scale ** np.arange(len(bottom))),
    }


def odd(
    name: str, function: Callable[[Array], Array], top: float, degree: int, raised: float = 1.0
) -> dict[str, Texts]:
    """Fit an odd function as x N(u) / D(u), u = x**2, on [0, top]."""
    x = nodes(1e-3, top, 6000)
    fit = rational(x * x / top**2, function(x) / x, degree, degree)
    return quotient(name, top**2, fit, raised)


def normal_tail() -> dict[str, Texts]:
    """Fit the upper tail probability of the normal distribution times exp(z**2/2) on [0, 13.3].

    Errors may grow with z**2, as the rounding errors of the exponential do. A float32 times the
    exponential is below the normal range beyond 13.3. The fit also corrects the error of
    log2(e)/2 in float32.
    """
    top = 13.3
    z = nodes(0.0, top, 6000)
    excess = float(np.float32(0.5 / np.log(2))) * np.log(2) - 0.5
    target = 0.5 * special.erfcx(z / np.sqrt(2)) * np.exp(excess * z * z)
    fit = rational(z / top, target, 3, 4, weight=1 / (1 + z * z / 8))
    return quotient("normal", top, fit)


def single() -> dict[str, Texts]:
    half = np.log(2) / 2 * 1.01
    found = {}
    found["exp"] = polynomial(
        "exp: expm1(r) = r + r^2 P(r)",
        -half,
        half,
        4,
        lambda r: (np.expm1(r) - r) / r**2,
        lambda r: r**2 / np.exp(r),
    )
    found["log"] = polynomial(
        "log: log(1 + f) = f - f^2/2 + f^3 P(f)",
        np.sqrt(0.5) - 1,
        np.sqrt(2) - 1,
        6,
        lambda f: (np.log1p(f) - f + f**2 / 2) / f**3,
        lambda f: np.abs(f**3 / np.log1p(f)),
    )
    top = (np.pi / 2 * 1.01) ** 2
    found["sin"] = polynomial(
        "sin: sin(r) = r + r^3 P(r^2)",
        1e-6,
        top,
        3,
        lambda u: (np.sin(np.sqrt(u)) / np.sqrt(u) - 1) / u,
        lambda u: u,
    )
    found["cos"] = polynomial(
        "cos: cos(r) = 1 - r^2/2 + r^4 P(r^2)",
        1e-6,
        top,
        3,
        lambda u: (np.cos(np.sqrt(u)) - 1 + u / 2) / u**2,
        lambda u: u**2,
    )
    found |= odd("tanh", np.tanh, 9.02, 4)
    found["atan"] = polynomial(
        "atan: atan(v) = v + v^3 P(v^2)",
        1e-6,
        1.0,
        7,
        lambda u: (np.arctan(np.sqrt(u)) / np.sqrt(u) - 1) / u,
        lambda u: u,
    )
    # N is a little high, so that the tails round to 1.
    found |= odd("erf", special.erf, 3.95, 5, raised=1 + 4e-8)
    found["exp2"] = polynomial(
        "2^f = 1 + f P(f)",
        -0.5,
        0.5,
        4,
        lambda f: (np.exp2(f) - 1) / f,
        lambda f: np.abs(f) * np.exp2(-f),
    )
    return found | normal_tail()


def interpolate(
    name: str, low: mp.mpf, high: mp.mpf, terms: int, target: Callable[[mp.mpf], mp.mpf]
) -> Texts:
    """Fit a polynomial for float64."""
    coefficients, error = mp.chebyfit(target, [low, high], terms, error=True)
    print(f"{name} on [{mp.nstr(low, 6)}, {mp.nstr(high, 6)}]: error {mp.nstr(error, 3)}")
    return [repr(float(c)) for c in coefficients]


def split(value: mp.mpf, bits: int, parts: int) -> Texts:
    """Return a constant as a sum of floats, all but the last of few bits."""
    found = []
    for _ in range(parts - 1):
        unit = mp.mpf(2) ** (bits - 1 - mp.floor(mp.log(value, 2)))
        found.append(mp.floor(value * unit) / unit)
        value -= found[-1]
    return [repr(float(part)) for part in [*found, value]]


def double() -> dict[str, Texts]:
    mp.mp.dps = 40
    found = {"ln2": split(mp.log(2), 40, 2), "pi": split(mp.pi, 32, 3)}
    tiny = mp.mpf("1e-16")
    half = mp.log(2) / 2 * mp.mpf("1.005")
    found["exp"] = interpolate(
        "exp: expm1(r) = r + r^2 P(r)",
        -half,
        half,
        9,
        lambda r: (mp.expm1(r) - r) / r**2 if abs(r) > tiny else mp.mpf(1) / 2,
    )
    s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    found["log"] = interpolate(
        "log: 2 atanh(s) = 2 s + s z P(z), z = s^2",
        mp.mpf(0),
        s**2 * mp.mpf("1.01"),
        6,
        lambda z: 2 * (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z if z > tiny else mp.mpf(2) / 3,
    )
    top = (mp.pi / 2 * mp.mpf("1.001")) ** 2
    found["sin"] = interpolate(
        "sin: sin(r) = r + r^3 P(r^2)",
        mp.mpf(0),
        top,
        7,
        lambda u: (mp.sin(mp.sqrt(u)) / mp.sqrt(u) - 1) / u if u > tiny else -mp.mpf(1) / 6,
    )
    found["cos"] = interpolate(
        "cos: cos(r) = 1 - r^2/2 + r^4 P(r^2)",
        mp.mpf(0),
        top,
        7,
        lambda u: (mp.cos(mp.sqrt(u)) - 1 + u / 2) / u**2 if u > tiny else mp.mpf(1) / 24,
    )
    found["atan"] = interpolate(
        "atan: atan(v) = v + v^3 P(v^2)",
        mp.mpf(0),
        mp.mpf(1),
        20,
        lambda u: (mp.atan(mp.sqrt(u)) / mp.sqrt(u) - 1) / u if u > tiny else -mp.mpf(1) / 3,
    )
    found["erf"] = interpolate(
        "erf: erf(z) = z P(z^2)",
        mp.mpf(0),
        mp.mpf(1),
        12,
        lambda u: mp.erf(mp.sqrt(u)) / mp.sqrt(u) if u > tiny else 2 / mp.sqrt(mp.pi),
    )
    middle = mp.mpf("0.5")

    def scaled_tail(y: mp.mpf) -> mp.mpf:
        t = y + middle
        z = (1 / t - 1) / mp.mpf("0.3")
        return mp.erfc(z) * mp.exp(z * z) / t

    low = 1 / (1 + mp.mpf("0.3") * 27)
    found["erfc"] = interpolate(
        "erfcx(z) = t P(t - 1/2), t = 1/(1 + 0.3 z)", low - middle, 1 - middle, 22, scaled_tail
    )
    return found


def table(name: str, comment: str, found: dict[str, Texts]) -> str:
    lines = [f"#: {comment}", f"{name}: dict[str, tuple[float, ...]] = {{"]
    for function, texts in found.items():
        lines += [f'    "{function}": (', *(f"        {text}," for text in texts), "    ),"]
    return "\n".join([*lines, "}\n"])


def main() -> None:
    tables = table("SINGLE", OF_SINGLE, single()), table("DOUBLE", OF_DOUBLE, double())
    TARGET.write_text("\n".join([HEAD, *tables]), encoding="utf-8")


if __name__ == "__main__":
    main()

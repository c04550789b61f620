"""Elementary functions in float64, without branches as in :mod:`symact.backends.numba.single`.

``tools/fit_kernels.py`` fits the coefficients. :data:`FLOAT64_ACCURACY` states the accuracy, which
tests check. A result below the normal range becomes 0.
"""

from __future__ import annotations

import math

import numpy as np

from symact.backends.coefficients import DOUBLE
from symact.backends.numba.intrinsics import bits_float, float_bits, horner, select
from symact.backends.numba.single import compiled

#: The largest error of each kernel: its kind, its bound, and the range of the argument. Outside the
#: range the value stays bounded or has the correct limit. log1p saturates until infinity.
FLOAT64_ACCURACY: dict[str, tuple[str, float, float, float]] = {
    "exp": ("relative", 2e-15, -708.0, 709.7),
    "log": ("relative", 2e-15, 2.3e-308, 1.7e308),
    "log1p": ("relative", 2e-15, -0.5, 8e307),
    "sin": ("absolute", 2e-15, -1e6, 1e6),
    "cos": ("absolute", 2e-15, -1e6, 1e6),
    "tanh": ("relative", 5e-15, -1.7e308, 1.7e308),
    "atan": ("relative", 6e-16, -1.7e308, 1.7e308),
    "erf": ("relative", 1e-15, -1.7e308, 1.7e308),
}

i64 = np.int64

#: Adding this number leaves the nearest integer in the lowest bits of a float.
_MAGIC = 1.5 * 2**52
_MAGIC_BITS = i64(0x4338000000000000)
_LOG2E = 1 / math.log(2)
_LN2_HIGH, _LN2_LOW = DOUBLE["ln2"]
_ONE_OVER_PI = 1 / math.pi
# pi in three parts. Products of the first two with integers below 2**21 are exact.
_PI_1, _PI_2, _PI_3 = DOUBLE["pi"]
_SQRT_HALF_BITS = i64(0x3FE6A09E667F3BCD)
_ONE_BITS = i64(0x3FF0000000000000)
_INFINITY = np.inf

_EXP, _LOG = DOUBLE["exp"], DOUBLE["log"]
_SIN, _COS, _ATAN = DOUBLE["sin"], DOUBLE["cos"], DOUBLE["atan"]
_ERF, _ERFC = DOUBLE["erf"], DOUBLE["erfc"]


@compiled
def _clip(x, low, high):
    """Clip to [low, high]; NaN stays."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


@compiled
def _powers(x):
    """Return (2**n / 2, q) with exp(x) = 2**n (1 + q)."""
    t = x * _LOG2E + _MAGIC
    n = t - _MAGIC
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = horner(_EXP, r)
    return bits_float(i64((float_bits(t) + i64(1022)) << i64(52))), r + r * r * p


@compiled
def exp(x):
    # Below -708.05 the nearest integer is -1022 and the scale 0.
    half, q = _powers(_clip(x, -708.7, 710.0))
    return (half + half * q) * 2.0


@compiled
def tanh(x):
    half, q = _powers(_clip(x, -20.0, 20.0) * 2.0)
    scale = half + half
    e = scale * q + (scale - 1.0)
    return e / (e + 2.0)


@compiled
def _log_parts(exponent, f):
    """log(1 + f) + exponent log 2 for 1 + f in [sqrt(1/2), sqrt(2)]."""
    e = bits_float(i64(exponent + _MAGIC_BITS)) - _MAGIC
    s = f / (2.0 + f)
    z = s * s
    p = horner(_LOG, z)
    return e * _LN2_HIGH + (s * (2.0 + z * p) + e * _LN2_LOW)


@compiled
def log(x):
    bits = float_bits(x)
    exponent = i64(bits - _SQRT_HALF_BITS) >> i64(52)
    f = bits_float(i64(bits - (exponent << i64(52)))) - 1.0
    value = _log_parts(exponent, f)
    value = select(x < _INFINITY, value, x)
    # Below the normal range everything is 0.
    value = select(x < 2.2250738585072014e-308, -_INFINITY, value)
    return select(x < 0.0, np.nan, value)


@compiled
def log1p(x):
    a = select(x < 8e307, x, 8e307)
    bits = float_bits(a + 1.0)
    exponent = i64(bits - _SQRT_HALF_BITS) >> i64(52)
    # Compute (1 + x) / 2**exponent - 1 from x, to avoid the rounding error of 1 + x.
    scale = bits_float(i64(_ONE_BITS - (exponent << i64(52))))
    value = _log_parts(exponent, a * scale + (scale - 1.0))
    value = select(x < _INFINITY, value, x)
    value = select(x <= -1.0, -_INFINITY, value)
    return select(x < -1.0, np.nan, value)


@compiled
def _sincos(x):
    """Return (sin x, cos x). Beyond 1e6 they are only bounded; at infinities they are NaN."""
    t = x * _ONE_OVER_PI + _MAGIC
    n = t - _MAGIC
    r = _clip(((x - n * _PI_1) - n * _PI_2) - n * _PI_3, -1.6, 1.6)
    sign = i64(float_bits(t) << i64(63))
    u = r * r
    s = horner(_SIN, u)
    # Near its extrema the result could exceed 1 by one unit in the last place.
    sine = _clip(r + r * u * s, -1.0, 1.0)
    c = horner(_COS, u)
    cosine = 1.0 + u * (u * c - 0.5)
    return (
        bits_float(i64(float_bits(sine) ^ sign)),
        bits_float(i64(float_bits(cosine) ^ sign)),
    )


@compiled
def sin(x):
    sine, _ = _sincos(x)
    return sine


@compiled
def cos(x):
    _, cosine = _sincos(x)
    return cosine


@compiled
def atan(x):
    a = abs(x)
    large = a > 1.0
    v = select(large, 1.0 / a, a)
    u = v * v
    p = horner(_ATAN, u)
    value = v + v * u * p
    value = select(large, math.pi / 2 - value, value)
    return select(x < 0.0, -value, value)


@compiled
def bell(x):
    """Return exp(-x**2)."""
    return exp(-x * x)


@compiled
def _tail(x):
    """Return erfc |x|."""
    t = 1.0 / (1.0 + 0.3 * abs(x))
    p = horner(_ERFC, t - 0.5)
    return t * p * bell(x)


@compiled
def erf(x):
    a = abs(x)
    p = horner(_ERF, a * a)
    value = select(a < 1.0, a * p, 1.0 - _tail(x))
    return select(x < 0.0, -value, value)


@compiled
def normal_pdf(z):
    """Return exp(-z**2/2) / sqrt(2 pi)."""
    return 0.3989422804014327 * bell(z * 0.7071067811865476)


@compiled
def normal_sf(z):
    """Return the probability that a standard normal variable exceeds z >= 0."""
    return 0.5 * _tail(z * 0.7071067811865476)

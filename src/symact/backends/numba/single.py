"""Elementary functions in float32: polynomials without branches, which LLVM vectorises.

numba does not vectorise calls into libm. ``tools/fit_kernels.py`` fits the coefficients.
:data:`FLOAT32_ACCURACY` states the accuracy, which tests check. NaN, infinities and zeros keep
their IEEE 754 meaning. A result below the normal range becomes 0.

``tools/generate_kernels.py`` translates these functions into those of the Triton backend. It knows
the operations that occur here and refuses others.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from symact.backends.coefficients import SINGLE
from symact.backends.numba.intrinsics import bits_float, float_bits, horner, select

#: The largest error of each kernel: its kind, its bound, and the range of the argument. Outside the
#: range the value stays bounded or has the correct limit. log1p saturates until infinity.
FLOAT32_ACCURACY: dict[str, tuple[str, float, float, float]] = {
    "exp": ("relative", 3e-7, -86.9, 88.7),
    "log": ("relative", 3e-7, 1.2e-38, 3e38),
    "log1p": ("relative", 3e-7, -0.5, 8e37),
    "sin": ("absolute", 2e-7, -1e4, 1e4),
    "cos": ("absolute", 2e-7, -1e4, 1e4),
    "tanh": ("relative", 4e-7, -3e38, 3e38),
    "atan": ("relative", 4e-7, -3e38, 3e38),
    "erf": ("relative", 5e-7, -3e38, 3e38),
    "gelu": ("relative", 2e-5, -12.9, 3e38),
}

f32, i32 = np.float32, np.int32

#: Compiles a rule. Products and sums may fuse, which does not affect tests of NaN or infinity.
#: Rules are inlined, because calls prevent vectorisation.
compiled = njit(error_model="numpy", forceinline=True, fastmath={"contract"})

#: Adding this number leaves the nearest integer in the lowest bits of a float.
_MAGIC = f32(1.5 * 2**23)
#: The same, with the bits of an exponent added: 2**n has the bits (n + 127) * 2**23.
_MAGIC_ONE = f32(1.5 * 2**23 + 127)
_HALF_LOG2E = f32(0.7213475204444817)
_LOG2E = f32(1.4426950408889634)
_LN2_HIGH = f32(0.693359375)
_LN2_LOW = f32(-2.12194440e-4)
_INFINITY = f32(np.inf)

# pi in three parts. Products of the first two with integers below 2**12 are exact.
_PI_1 = f32(3.140625)
_PI_2 = f32(9.675025939941406e-04)
_PI_3 = f32(1.5099579897537296e-07)
_ONE_OVER_PI = f32(1 / math.pi)

_SQRT_HALF_BITS = i32(0x3F3504F3)


def _coefficients(name: str) -> tuple[np.float32, ...]:
    return tuple(map(f32, SINGLE[name]))


_EXP = _coefficients("exp")
_LOG = _coefficients("log")
_SIN = _coefficients("sin")
_COS = _coefficients("cos")
_TANH_OVER = _coefficients("tanh_over")
_TANH_UNDER = _coefficients("tanh_under")
_ATAN = _coefficients("atan")
_ERF_OVER = _coefficients("erf_over")
_ERF_UNDER = _coefficients("erf_under")
_EXP2 = _coefficients("exp2")
_NORMAL_OVER = _coefficients("normal_over")
_NORMAL_UNDER = _coefficients("normal_under")


@compiled
def _clip(x, low, high):
    """Clip to [low, high]; NaN stays. Written so that it takes two instructions."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


@compiled
def exp(x):
    # Below -87 the nearest integer is -126 and the scale 0; above 88.7 it overflows by itself.
    a = _clip(x, f32(-87.5), f32(89.0))
    t = a * _LOG2E + _MAGIC
    n = t - _MAGIC
    r = (a - n * _LN2_HIGH) - n * _LN2_LOW
    p = horner(_EXP, r)
    q = r + r * r * p
    # Half of 2**n, since 2**128 is no float.
    half = bits_float(i32((float_bits(t) + i32(126)) << i32(23)))
    return (half + half * q) * f32(2.0)


@compiled
def _log_polynomial(f):
    """log(1 + f) - f, for 1 + f in [sqrt(1/2), sqrt(2)]."""
    p = horner(_LOG, f)
    return f * f * (p * f - f32(0.5))


@compiled
def log(x):
    bits = float_bits(x)
    exponent = i32(bits - _SQRT_HALF_BITS) >> i32(23)
    f = bits_float(i32(bits - (exponent << i32(23)))) - f32(1.0)
    e = f32(exponent)
    value = e * _LN2_HIGH + (f + (e * _LN2_LOW + _log_polynomial(f)))
    value = select(x < _INFINITY, value, x)
    # Below the normal range everything is 0.
    value = select(x < f32(1.17549435e-38), -_INFINITY, value)
    return select(x < f32(0.0), f32(np.nan), value)


@compiled
def log1p(x):
    a = select(x < f32(8e37), x, f32(8e37))
    bits = float_bits(a + f32(1.0))
    exponent = i32(bits - _SQRT_HALF_BITS) >> i32(23)
    # Compute (1 + x) / 2**exponent - 1 from x, to avoid the rounding error of 1 + x.
    scale = bits_float(i32(i32(127 << 23) - (exponent << i32(23))))
    f = a * scale + (scale - f32(1.0))
    e = f32(exponent)
    value = e * _LN2_HIGH + (f + (e * _LN2_LOW + _log_polynomial(f)))
    value = select(x < _INFINITY, value, x)
    value = select(x <= f32(-1.0), -_INFINITY, value)
    return select(x < f32(-1.0), f32(np.nan), value)


@compiled
def _sincos(x):
    """Return (sin x, cos x); beyond 2**20 only bounded, NaN at infinities."""
    t = x * _ONE_OVER_PI + _MAGIC
    n = t - _MAGIC
    r = _clip(((x - n * _PI_1) - n * _PI_2) - n * _PI_3, f32(-1.6), f32(1.6))
    sign = i32(float_bits(t) << i32(31))
    u = r * r
    s = horner(_SIN, u)
    sine = r + r * u * s
    c = horner(_COS, u)
    cosine = f32(1.0) + u * (u * c - f32(0.5))
    return (
        bits_float(i32(float_bits(sine) ^ sign)),
        bits_float(i32(float_bits(cosine) ^ sign)),
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
def tanh(x):
    a = _clip(x, f32(-9.02), f32(9.02))
    u = a * a
    p = horner(_TANH_OVER, u)
    q = horner(_TANH_UNDER, u)
    return _clip(a * p / q, f32(-1.0), f32(1.0))


@compiled
def atan(x):
    a = abs(x)
    large = a > f32(1.0)
    v = select(large, f32(1.0) / a, a)
    u = v * v
    p = horner(_ATAN, u)
    value = v + v * u * p
    value = select(large, f32(math.pi / 2) - value, value)
    return select(x < f32(0.0), -value, value)


@compiled
def erf(x):
    a = _clip(x, f32(-3.95), f32(3.95))
    u = a * a
    # Slightly larger than the exact value, so that the tails round to 1.
    p = horner(_ERF_OVER, u)
    q = horner(_ERF_UNDER, u)
    return _clip(a * p / q, f32(-1.0), f32(1.0))


@compiled
def bell(x):
    """Return exp(-x**2)."""
    return exp(-x * x)


@compiled
def _normal_power(z):
    """Return exp(-z**2/2) for z >= 0."""
    s = z * z
    s = select(s > f32(176.5), f32(176.5), s)
    t = s * -_HALF_LOG2E + _MAGIC_ONE
    r = s * -_HALF_LOG2E - (t - _MAGIC_ONE)
    p = horner(_EXP2, r)
    return (p * r + f32(1.0)) * bits_float(i32(float_bits(t) << i32(23)))


@compiled
def normal_pdf(z):
    """Return exp(-z**2/2) / sqrt(2 pi) for z >= 0."""
    return f32(0.3989422804014327) * _normal_power(z)


@compiled
def normal_sf(z):
    """Return the probability that a standard normal variable exceeds z >= 0."""
    over = horner(_NORMAL_OVER, z)
    under = horner(_NORMAL_UNDER, z)
    return over / under * _normal_power(z)

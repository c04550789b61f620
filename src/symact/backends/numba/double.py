"""Elementary functions in float64: branch-free like those of :mod:`symact.backends.numba.single`.

``tools/fit_kernels.py`` fits the coefficients; the accuracy is stated in :data:`FLOAT64_ACCURACY`
and tested. A result below the normal range becomes 0.
"""

from __future__ import annotations

import math

import numpy as np

from symact.backends.numba.intrinsics import bits_float, float_bits, select
from symact.backends.numba.single import compiled

#: Largest error of each kernel: relative or absolute, over the stated range of the argument.
#: Outside it the value stays bounded or right in the limit; log1p saturates until infinity.
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

#: Adding it leaves a float's nearest integer in its lowest bits, and back.
_MAGIC = 1.5 * 2**52
_MAGIC_BITS = i64(0x4338000000000000)
_LOG2E = 1 / math.log(2)
_LN2_HIGH, _LN2_LOW = 0.6931471805592082, 7.371002565167799e-13
_ONE_OVER_PI = 1 / math.pi
# pi in three parts; products of the first two with integers below 2**21 are exact.
_PI_1, _PI_2, _PI_3 = 3.1415926534682512, 1.2154201012607932e-10, 4.044532497591901e-21
_SQRT_HALF_BITS = i64(0x3FE6A09E667F3BCD)
_ONE_BITS = i64(0x3FF0000000000000)
_INFINITY = np.inf


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
    p = 2.7614362295993597e-07
    p = p * r + 2.762578232067986e-06
    p = p * r + 2.480153538287674e-05
    p = p * r + 0.0001984120752516482
    p = p * r + 0.0013888888906387483
    p = p * r + 0.00833333335433672
    p = p * r + 0.04166666666665075
    p = p * r + 0.16666666666647556
    p = p * r + 0.5
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
    p = 0.16634817293436976
    p = p * z + 0.18139329084810124
    p = p * z + 0.22222882159268573
    p = p * z + 0.28571423954752284
    p = p * z + 0.40000000011787484
    p = p * z + 0.666666666666618
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
    # (1 + x) / 2**exponent - 1 from x itself: the rounding of 1 + x never enters.
    scale = bits_float(i64(_ONE_BITS - (exponent << i64(52))))
    value = _log_parts(exponent, a * scale + (scale - 1.0))
    value = select(x < _INFINITY, value, x)
    value = select(x <= -1.0, -_INFINITY, value)
    return select(x < -1.0, np.nan, value)


@compiled
def sincos(x):
    """Return (sin x, cos x); beyond 1e6 only bounded, NaN at infinities."""
    t = x * _ONE_OVER_PI + _MAGIC
    n = t - _MAGIC
    r = _clip(((x - n * _PI_1) - n * _PI_2) - n * _PI_3, -1.6, 1.6)
    sign = i64(float_bits(t) << i64(63))
    u = r * r
    s = -7.407583750387987e-13
    s = s * u + 1.6050940238429783e-10
    s = s * u - 2.505197211292046e-08
    s = s * u + 2.7557318046363266e-06
    s = s * u - 0.0001984126983642104
    s = s * u + 0.008333333333325844
    s = s * u - 0.1666666666666665
    # On its crests it would come out a unit too large.
    sine = _clip(r + r * u * s, -1.0, 1.0)
    c = 4.646173408703228e-14
    c = c * u - 1.1466234424282487e-11
    c = c * u + 2.0876681108263528e-09
    c = c * u - 2.755731856817136e-07
    c = c * u + 2.4801587298886815e-05
    c = c * u - 0.0013888888888884717
    c = c * u + 0.04166666666666666
    cosine = 1.0 + u * (u * c - 0.5)
    return (
        bits_float(i64(float_bits(sine) ^ sign)),
        bits_float(i64(float_bits(cosine) ^ sign)),
    )


@compiled
def atan(x):
    a = abs(x)
    large = a > 1.0
    v = select(large, 1.0 / a, a)
    u = v * v
    p = 1.806195461861215e-05
    p = p * u - 0.00019996189377901382
    p = p * u + 0.0010496035084968515
    p = p * u - 0.0034958859739163094
    p = p * u + 0.008368931178450162
    p = p * u - 0.015535152475414177
    p = p * u + 0.023696731580048622
    p = p * u - 0.031277189066996385
    p = p * u + 0.03749486812535247
    p = p * u - 0.04260356632601652
    p = p * u + 0.04737749579527779
    p = p * u - 0.052579733342841106
    p = p * u + 0.05881506877793656
    p = p * u - 0.06666564699289104
    p = p * u + 0.07692298971033217
    p = p * u - 0.09090908590891934
    p = p * u + 0.11111111093490827
    p = p * u - 0.14285714285384132
    p = p * u + 0.1999999999999753
    p = p * u - 0.3333333333333333
    value = v + v * u * p
    value = select(large, math.pi / 2 - value, value)
    return select(x < 0.0, -value, value)


@compiled
def erf_bell(x):
    """Return (erf x, exp(-x**2), erfc |x|); what the caller drops costs nothing."""
    a = abs(x)
    bell = exp(-a * a)
    t = 1.0 / (1.0 + 0.3 * a)
    y = t - 0.5
    p = -0.0005915860442990828
    p = p * y - 0.0015841602097073633
    p = p * y + 0.004476365310921676
    p = p * y + 0.0015946275205450627
    p = p * y - 0.009055996286790236
    p = p * y - 0.0007728104118811354
    p = p * y + 0.014454936015600252
    p = p * y + 0.0011927404265559421
    p = p * y - 0.023412643289813878
    p = p * y - 0.007169223147142568
    p = p * y + 0.039117078937168676
    p = p * y + 0.03351795677562324
    p = p * y - 0.054784410910795
    p = p * y - 0.1232251319006992
    p = p * y - 0.023262406901945122
    p = p * y + 0.27879040534782734
    p = p * y + 0.6528463017860395
    p = p * y + 0.9113862086873926
    p = p * y + 0.9497493976712965
    p = p * y + 0.7951243121773308
    p = p * y + 0.5530471135121311
    p = p * y + 0.32497992185979685
    tail = t * p * bell
    u = a * a
    p = -7.795898827002142e-10
    p = p * u + 1.3720064546777686e-08
    p = p * u - 1.6208483801871705e-07
    p = p * u + 1.6447424703317362e-06
    p = p * u - 1.492473690741966e-05
    p = p * u + 0.00012055294904839707
    p = p * u - 0.0008548325975389692
    p = p * u + 0.0052239776071164225
    p = p * u - 0.02686617064323777
    p = p * u + 0.11283791670945006
    p = p * u - 0.37612638903183543
    p = p * u + 1.1283791670955126
    value = select(a < 1.0, a * p, 1.0 - tail)
    return select(x < 0.0, -value, value), bell, tail

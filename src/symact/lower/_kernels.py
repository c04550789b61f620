"""Scalar rules of the numba lowering: for each primitive its value and partial derivatives.

Numba no longer vectorises calls into libm, so in float32 the elementary functions are branch-free
polynomials that LLVM turns into SIMD instructions (``tools/fit_kernels.py`` fits them; stated
accuracy is in :data:`FLOAT32_ACCURACY` and tested). In float64 they are libm's: that dtype checks,
it does not race. Everything keeps IEEE meaning at NaN and infinities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

#: Largest error of each float32 kernel: relative ("ulp"-like, in units of 1) or absolute, over
#: the stated range of the argument. Outside it the value stays bounded or right in the limit.
FLOAT32_ACCURACY: dict[str, tuple[str, float, float, float]] = {
    "exp": ("relative", 3e-7, -87.0, 88.0),
    "expm1": ("relative", 3e-7, -87.0, 88.0),
    "log": ("relative", 3e-7, 1e-37, 3e38),
    "log1p": ("relative", 6e-7, 0.0, 3e38),
    "sin": ("absolute", 2e-7, -1e6, 1e6),
    "cos": ("absolute", 2e-7, -1e6, 1e6),
    "tanh": ("relative", 5e-7, -3e38, 3e38),
    "atan": ("relative", 4e-7, -3e38, 3e38),
    "erf": ("relative", 6e-7, -3e38, 3e38),
}


def _typed_float_bits(typingctx: Any, value: Any) -> Any:
    """Reinterpret a float32 as an int32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


def _typed_bits_float(typingctx: Any, value: Any) -> Any:
    """Reinterpret an int32 as a float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


def _typed_select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """Choose without a branch.

    A Python conditional lets LLVM sink work into one arm, which stops vectorisation.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    if yes != no:
        return None
    return yes(types.boolean, yes, no), codegen


# numba types what these do; to other readers they are just functions.
_float_bits: Any = intrinsic(_typed_float_bits)
_bits_float: Any = intrinsic(_typed_bits_float)
select: Any = intrinsic(_typed_select)


def like(sample: Any, value: float) -> Any:
    """``value`` in the type of ``sample``: a bare literal would promote float32 to float64."""
    raise RuntimeError("compiled code only")


@overload(like, inline="always")
def _like(sample, value):
    if sample == types.float32:
        return lambda sample, value: np.float32(value)
    return lambda sample, value: np.float64(value)


f32 = np.float32

#: Division by zero gives an infinity, as everywhere here; numba's other model blocks vectorisation,
#: and so does a call, so every rule is inlined by LLVM whatever its size.
compiled = njit(error_model="numpy", forceinline=True)


_LOG2E = f32(1.4426950408889634)
_LN2_HIGH = f32(0.693359375)
_LN2_LOW = f32(-2.12194440e-4)
_SQRT_HALF = f32(0.70710678)
_TWO_OVER_PI = 2 / math.pi
_HALF_PI_HIGH = 1.5707963267341256
_HALF_PI_LOW = 6.077100506506192e-11
_QUARTER_PI = f32(math.pi / 4 * 1.001)


@compiled
def _power_of_two(n):
    """2**n for an int32 n in [-126, 127]."""
    return _bits_float(np.int32((n + np.int32(127)) << np.int32(23)))


@compiled
def _expm1_parts32(x):
    """Return (s1, s2, q) with exp(x) = s1 s2 (1 + q), for x clipped to what float32 holds."""
    clipped = min(max(x, f32(-104.0)), f32(89.0))
    n = np.floor(clipped * _LOG2E + f32(0.5))
    r = (clipped - n * _LN2_HIGH) - n * _LN2_LOW
    p = f32(1.984595724e-04)
    p = p * r + f32(1.394165293e-03)
    p = p * r + f32(8.333391640e-03)
    p = p * r + f32(4.166634870e-02)
    p = p * r + f32(1.666666635e-01)
    p = p * r + f32(5.000000047e-01)
    q = r + r * r * p
    whole = np.int32(n)
    half = whole >> np.int32(1)
    return _power_of_two(half), _power_of_two(np.int32(whole - half)), q


@compiled
def _exp32(x):
    s1, s2, q = _expm1_parts32(x)
    value = (s1 + s1 * q) * s2
    value = select(x > f32(88.72284), f32(np.inf), value)
    return select(x == x, value, x)


@compiled
def _expm132(x):
    s1, s2, q = _expm1_parts32(x)
    # Up to 2**64 the scale is exact in one piece, where the difference matters.
    s = s1 * s2
    small = s * q + (s - f32(1.0))
    value = select(x < f32(44.0), small, (s1 + s1 * q) * s2)
    value = select(x > f32(88.72284), f32(np.inf), value)
    return select(x == x, value, x)


@compiled
def _log32(x):
    tiny = x < f32(1.17549435e-38)
    scaled = select(tiny, x * f32(8388608.0), x)
    bits = _float_bits(scaled)
    exponent = np.int32((bits >> np.int32(23)) - np.int32(126))
    mantissa = _bits_float(np.int32((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)))
    low = mantissa < _SQRT_HALF
    m = select(low, mantissa + mantissa, mantissa)
    e = f32(exponent) - (select(low, f32(1.0), f32(0.0))) - (select(tiny, f32(23.0), f32(0.0)))
    f = m - f32(1.0)
    p = f32(6.746601324e-02)
    p = p * f + f32(-1.167564130e-01)
    p = p * f + f32(1.188817460e-01)
    p = p * f + f32(-1.240559142e-01)
    p = p * f + f32(1.421955091e-01)
    p = p * f + f32(-1.666799567e-01)
    p = p * f + f32(2.000211873e-01)
    p = p * f + f32(-2.500000960e-01)
    p = p * f + f32(3.333331260e-01)
    f2 = f * f
    value = e * _LN2_HIGH + (f + (e * _LN2_LOW + (f * f2 * p - f32(0.5) * f2)))
    value = select(x == f32(np.inf), f32(np.inf), value)
    value = select(x == f32(0.0), f32(-np.inf), value)
    return select(x >= f32(0.0), value, f32(np.nan))


@compiled
def _log1p32(x):
    w = x + f32(1.0)
    excess = w - f32(1.0)
    safe = select(excess != f32(0.0), excess, f32(1.0))
    value = _log32(w) * (x / safe)
    value = select(excess == f32(0.0), x, value)
    return select(x > f32(1e30), _log32(w), value)


@compiled
def _sincos32(x):
    """Return (sin x, cos x); beyond 1e9 only bounded, NaN at infinities."""
    wide = np.float64(min(max(x, f32(-1e9)), f32(1e9)))
    k = np.floor(wide * _TWO_OVER_PI + 0.5)
    r = f32((wide - k * _HALF_PI_HIGH) - k * _HALF_PI_LOW)
    quadrant = np.int32(k)
    u = r * r
    s = f32(2.717939826e-06)
    s = s * u + f32(-1.983929612e-04)
    s = s * u + f32(8.333329267e-03)
    s = s * u + f32(-1.666666664e-01)
    sine = r + r * u * s
    c = f32(-2.720678554e-07)
    c = c * u + f32(2.479947859e-05)
    c = c * u + f32(-1.388888360e-03)
    c = c * u + f32(4.166666662e-02)
    cosine = f32(1.0) - f32(0.5) * u + u * u * c
    swap = (quadrant & np.int32(1)) != np.int32(0)
    sine_out = select(swap, cosine, sine)
    cosine_out = select(swap, sine, cosine)
    sine_out = select((quadrant & np.int32(2)) != np.int32(0), -sine_out, sine_out)
    turned = np.int32(quadrant + np.int32(1))
    cosine_out = select((turned & np.int32(2)) != np.int32(0), -cosine_out, cosine_out)
    nan = x - x  # 0, or NaN at infinities and NaN
    return sine_out + nan, cosine_out + nan


@compiled
def _tanh32(x):
    e = _expm132(f32(2.0) * min(max(x, f32(-20.0)), f32(20.0)))
    value = e / (e + f32(2.0))
    return select(x == x, value, x)


@compiled
def _atan32(x):
    a = abs(x)
    large = a > f32(1.0)
    v = select(large, f32(1.0) / a, a)
    u = v * v
    p = f32(1.134878333e-03)
    p = p * u + f32(-7.422637720e-03)
    p = p * u + f32(2.276034097e-02)
    p = p * u + f32(-4.494644588e-02)
    p = p * u + f32(6.759572133e-02)
    p = p * u + f32(-8.818848312e-02)
    p = p * u + f32(1.106024455e-01)
    p = p * u + f32(-1.428013074e-01)
    p = p * u + f32(1.999969261e-01)
    p = p * u + f32(-3.333332743e-01)
    value = v + v * u * p
    value = select(large, f32(math.pi / 2) - value, value)
    return select(x < f32(0.0), -value, value)


@compiled
def _erfcx32(z):
    """erfc(z) exp(z**2) for z >= 0."""
    t = f32(1.0) / (f32(1.0) + f32(0.4) * z)
    p = f32(-2.335013629e-02)
    p = p * t + f32(1.071789106e-01)
    p = p * t + f32(-1.533001537e-01)
    p = p * t + f32(2.131608674e-02)
    p = p * t + f32(5.682581039e-02)
    p = p * t + f32(2.311962557e-02)
    p = p * t + f32(1.426209299e-01)
    p = p * t + f32(1.657633919e-01)
    p = p * t + f32(2.085534346e-01)
    p = p * t + f32(2.255931736e-01)
    p = p * t + f32(2.256789235e-01)
    return t * p


@compiled
def _erf_bell32(x):
    """Return (erf x, exp(-x**2), erfc |x|), sharing the exponential."""
    a = min(abs(x), f32(14.0))
    bell = _exp32(-a * a)
    tail = _erfcx32(a) * bell
    u = a * a
    p = f32(9.475533219e-05)
    p = p * u + f32(-8.357784164e-04)
    p = p * u + f32(5.216843708e-03)
    p = p * u + f32(-2.686478763e-02)
    p = p * u + f32(1.128377885e-01)
    p = p * u + f32(-3.761263846e-01)
    p = p * u + f32(1.128379167e00)
    value = select(a < f32(0.75), a * p, f32(1.0) - tail)
    value = select(x < f32(0.0), -value, value)
    is_nan = x != x
    return (
        (select(is_nan, x, value)),
        (select(is_nan, x, bell)),
        (select(is_nan, x, tail)),
    )


@compiled
def _erf_bell64(x):
    return math.erf(x), math.exp(-x * x), math.erfc(abs(x))


@compiled
def _sincos64(x):
    return math.sin(x), math.cos(x)


def _by_dtype(name, single, double):
    """Make one function that is ``single`` for float32 and ``double`` for float64."""

    def stub(x):
        raise RuntimeError("compiled code only")

    stub.__name__ = name

    def choose(x):
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)

    overload(stub)(choose)
    return stub


exp = _by_dtype("exp", _exp32, np.exp)
expm1 = _by_dtype("expm1", _expm132, np.expm1)
log = _by_dtype("log", _log32, np.log)
log1p = _by_dtype("log1p", _log1p32, np.log1p)
sincos = _by_dtype("sincos", _sincos32, _sincos64)
tanh = _by_dtype("tanh", _tanh32, np.tanh)
atan = _by_dtype("atan", _atan32, np.arctan)
erf_bell = _by_dtype("erf_bell", _erf_bell32, _erf_bell64)


# Rules of one argument: (value, derivative).


@compiled
def neg(a):
    return -a, like(a, -1.0)


@compiled
def absolute(a):
    slope = select(a > like(a, 0.0), like(a, 1.0), like(a, 0.0))
    slope = select(a < like(a, 0.0), like(a, -1.0), slope)
    return abs(a), slope


@compiled
def square(a):
    return a * a, a + a


@compiled
def cube(a):
    s = a * a
    return s * a, like(a, 3.0) * s


@compiled
def sqrt(a):
    root = np.sqrt(a)
    return root, like(a, 0.5) / root


@compiled
def exponential(a):
    value = exp(a)
    return value, value


@compiled
def logarithm(a):
    return log(a), like(a, 1.0) / a


@compiled
def logarithm1p(a):
    value = log1p(a)
    value = select(a >= like(a, -1.0), value, like(a, np.nan))
    return value, like(a, 1.0) / (a + like(a, 1.0))


@compiled
def sine(a):
    s, c = sincos(a)
    return s, c


@compiled
def cosine(a):
    s, c = sincos(a)
    return c, -s


@compiled
def sinc(a):
    """sin(pi a)/(pi a); a series near 0, where the quotient's derivative cancels."""
    pi = like(a, math.pi)
    z = pi * a
    u = z * z
    near = abs(z) < like(a, 0.3)
    s, c = sincos(z)
    safe = select(near, like(a, 1.0), z)
    quotient = s / safe
    slope = (c - quotient) * pi * (like(a, 1.0) / safe) * like(a, 1.0)
    sixth = like(a, 1.0 / 6)
    series = like(a, 1.0) - u * (
        sixth - u * (like(a, 1.0 / 120) - u * (like(a, 1.0 / 5040) - u * like(a, 1.0 / 362880)))
    )
    series = series - u * u * u * u * u * like(a, 1.0 / 39916800)
    series_slope = (
        -pi
        * z
        * (
            like(a, 1.0 / 3)
            - u * (like(a, 1.0 / 30) - u * (like(a, 1.0 / 840) - u * like(a, 1.0 / 45360)))
        )
    )
    series_slope = series_slope - pi * z * u * u * u * u * like(a, 1.0 / 3991680)
    is_infinite = abs(a) == like(a, np.inf)
    value = select(near, series, quotient)
    slope = select(near, series_slope, slope)
    return (
        select(is_infinite, like(a, 0.0), value),
        select(is_infinite, like(a, 0.0), slope),
    )


@compiled
def hyperbolic_tangent(a):
    t = tanh(a)
    return t, (like(a, 1.0) - t) * (like(a, 1.0) + t)


@compiled
def arctangent(a):
    return atan(a), like(a, 1.0) / (like(a, 1.0) + a * a)


@compiled
def asinh(a):
    m = abs(a)
    one = like(a, 1.0)
    huge = m > like(a, 1e9)
    safe = select(huge, one, m)
    root = np.sqrt(safe * safe + one)
    value = log1p(safe + safe * safe / (one + root))
    value = select(huge, log(m) + like(a, math.log(2.0)), value)
    value = select(a < like(a, 0.0), -value, value)
    return value, select(huge, one / m, one / root)


@compiled
def error_function(a):
    value, bell, _ = erf_bell(a)
    return value, like(a, 2 / math.sqrt(math.pi)) * bell


@compiled
def _logistic(a):
    """The logistic function without overflow: always from exp(-|a|)."""
    one = like(a, 1.0)
    e = exp(-abs(a))
    q = one / (one + e)
    return select(a >= like(a, 0.0), q, e * q)


@compiled
def sigmoid(a):
    one = like(a, 1.0)
    e = exp(-abs(a))
    q = one / (one + e)
    value = select(a >= like(a, 0.0), q, e * q)
    value = select(a == a, value, a)
    return value, e * q * q


@compiled
def softplus(a):
    value = max(a, like(a, 0.0)) + log1p(exp(-abs(a)))
    return select(a == a, value, a), _logistic(a)


@compiled
def softsign(a):
    one = like(a, 1.0)
    q = one / (one + abs(a))
    value = a * q
    sign = select(a > like(a, 0.0), one, -one)
    return select(abs(a) == like(a, np.inf), sign, value), q * q


@compiled
def relu(a):
    zero = like(a, 0.0)
    value = select(a > zero, a, zero)
    value = select(a == a, value, a)
    return value, select(a > zero, like(a, 1.0), zero)


@compiled
def gelu(a):
    """Compute a Phi(a); the left tail comes from erfc, so it keeps its relative accuracy."""
    half = like(a, 0.5)
    _, bell, tail = erf_bell(a * like(a, math.sqrt(0.5)))
    lower = half * tail
    phi = select(a < like(a, 0.0), lower, like(a, 1.0) - lower)
    infinite = abs(a) == like(a, np.inf)
    left = select(a < like(a, 0.0), like(a, 0.0), a)
    value = select(infinite, left, a * phi)
    density = like(a, 1 / math.sqrt(2 * math.pi)) * bell
    slope = select(infinite, phi, phi + a * density)
    return value, slope


@compiled
def silu(a):
    one = like(a, 1.0)
    e = exp(-abs(a))
    q = one / (one + e)
    s = select(a >= like(a, 0.0), q, e * q)
    infinite = abs(a) == like(a, np.inf)
    left = select(a < like(a, 0.0), like(a, 0.0), a)
    value = select(infinite, left, a * s)
    slope = select(infinite, s, s + a * (e * q * q))
    return value, slope


@compiled
def gaussian(a):
    value = exp(-a * a)
    infinite = abs(a) == like(a, np.inf)
    return value, select(infinite, like(a, 0.0), like(a, -2.0) * a * value)


@compiled
def sign(a):
    zero = like(a, 0.0)
    value = select(a > zero, like(a, 1.0), zero)
    value = select(a < zero, like(a, -1.0), value)
    return select(a == a, value, a), zero


# Rules of two arguments: (value, derivative by a, derivative by b).


@compiled
def add(a, b):
    return a + b, like(a, 1.0), like(a, 1.0)


@compiled
def sub(a, b):
    return a - b, like(a, 1.0), like(a, -1.0)


@compiled
def mul(a, b):
    return a * b, b, a


@compiled
def div(a, b):
    q = a / b
    r = like(a, 1.0) / b
    return q, r, -q * r


@compiled
def minimum(a, b):
    """NaN if either is; a tie shares the derivative, as in torch."""
    one, half, zero = like(a, 1.0), like(a, 0.5), like(a, 0.0)
    value = select(a < b, a, b)
    value = select(a != a, a, value)
    left = select(a < b, one, zero)
    left = select(a == b, half, left)
    return value, left, one - left


@compiled
def maximum(a, b):
    """NaN if either is; a tie shares the derivative, as in torch."""
    one, half, zero = like(a, 1.0), like(a, 0.5), like(a, 0.0)
    value = select(a > b, a, b)
    value = select(a != a, a, value)
    left = select(a > b, one, zero)
    left = select(a == b, half, left)
    return value, left, one - left


@compiled
def less(a, b):
    return (select(a < b, like(a, 1.0), like(a, 0.0))), like(a, 0.0), like(a, 0.0)


@compiled
def less_equal(a, b):
    return (select(a <= b, like(a, 1.0), like(a, 0.0))), like(a, 0.0), like(a, 0.0)


@compiled
def greater(a, b):
    return (select(a > b, like(a, 1.0), like(a, 0.0))), like(a, 0.0), like(a, 0.0)


@compiled
def greater_equal(a, b):
    return (select(a >= b, like(a, 1.0), like(a, 0.0))), like(a, 0.0), like(a, 0.0)

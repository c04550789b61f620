"""Scalar rules of the numba lowering: for each primitive its value and partial derivatives.

The elementary functions are those of :mod:`symact.backends.numba.single` and
:mod:`symact.backends.numba.double`, chosen by dtype when numba compiles. Rules have no branches,
so that every loop over one vectorises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from symact.backends.numba import double, single
from symact.backends.numba.intrinsics import like, select
from symact.backends.numba.single import compiled


def _by_dtype(name: str) -> Callable[[Any], Any]:
    """Make one function that is the float32 kernel or the float64 one, by its argument."""
    in_single, in_double = getattr(single, name), getattr(double, name)

    def stub(x):
        raise RuntimeError("compiled code only")

    def choose(x):
        if x == types.float32:
            return lambda x: in_single(x)
        return lambda x: in_double(x)

    stub.__name__ = name
    overload(stub)(choose)
    return stub


exp = _by_dtype("exp")
log = _by_dtype("log")
log1p = _by_dtype("log1p")
sincos = _by_dtype("sincos")
tanh = _by_dtype("tanh")
atan = _by_dtype("atan")
erf_bell = _by_dtype("erf_bell")


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
    return log1p(a), like(a, 1.0) / (a + like(a, 1.0))


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
    slope = (c - quotient) * pi * (like(a, 1.0) / safe)
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
    is_infinite = abs(z) == like(a, np.inf)  # from a third of the largest number on
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
    return value, select(infinite, like(a, 0.0), like(a, -2.0) * (a * value))


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


#: The rule of each primitive of single elements; ``where`` is a select and has none.
RULES: dict[str, Any] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "neg": neg,
    "abs": absolute,
    "square": square,
    "cube": cube,
    "sqrt": sqrt,
    "exp": exponential,
    "log": logarithm,
    "log1p": logarithm1p,
    "sin": sine,
    "cos": cosine,
    "sinc": sinc,
    "tanh": hyperbolic_tangent,
    "atan": arctangent,
    "asinh": asinh,
    "erf": error_function,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "relu": relu,
    "gelu": gelu,
    "silu": silu,
    "gaussian": gaussian,
    "sign": sign,
    "min": minimum,
    "max": maximum,
    "lt": less,
    "le": less_equal,
    "gt": greater,
    "ge": greater_equal,
}

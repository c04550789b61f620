"""The rules of the primitives for numba, and their branches in the interpreter.

Written by ``tools/generate_kernels.py`` from the rules of the primitives; do not edit.

A rule returns the value and the partial derivatives of one point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from symact.backends.numba.elementary import (
    atan,
    bell,
    cos,
    erf,
    exp,
    log,
    log1p,
    normal_pdf,
    normal_sf,
    sin,
    tanh,
)
from symact.backends.numba.intrinsics import like, select
from symact.backends.numba.loops import one, two, where
from symact.backends.numba.single import compiled


@compiled
def add_rule(a, b):
    value = a + b
    da = like(a, 1.0)
    db = like(a, 1.0)
    return value, da, db


@compiled
def sub_rule(a, b):
    value = a - b
    da = like(a, 1.0)
    db = like(a, -1.0)
    return value, da, db


@compiled
def mul_rule(a, b):
    value = a * b
    da = b
    db = a
    return value, da, db


@compiled
def div_rule(a, b):
    value = a / b
    da = like(a, 1.0) / b
    db = -value * da
    return value, da, db


@compiled
def neg_rule(a):
    value = -a
    da = like(a, -1.0)
    return value, da


@compiled
def abs_rule(a):
    value = abs(a)
    da = select(a < like(a, 0.0), like(a, -1.0), select(a > like(a, 0.0), like(a, 1.0), like(a, 0.0)))
    return value, da


@compiled
def square_rule(a):
    value = a * a
    da = a + a
    return value, da


@compiled
def cube_rule(a):
    s = a * a
    value = s * a
    da = like(a, 3.0) * s
    return value, da


@compiled
def sqrt_rule(a):
    value = np.sqrt(a)
    da = like(a, 0.5) / value
    return value, da


@compiled
def exp_rule(a):
    value = exp(a)
    da = value
    return value, da


@compiled
def log_rule(a):
    value = log(a)
    da = like(a, 1.0) / a
    return value, da


@compiled
def log1p_rule(a):
    value = log1p(a)
    da = like(a, 1.0) / (a + like(a, 1.0))
    return value, da


@compiled
def sin_rule(a):
    value = sin(a)
    da = cos(a)
    return value, da


@compiled
def cos_rule(a):
    value = cos(a)
    da = -sin(a)
    return value, da


@compiled
def sinc_rule(a):
    z = like(a, 3.141592653589793) * a
    u = z * z
    near = abs(z) < like(a, 0.3)
    far = abs(z) == like(a, np.inf)
    safe = select(near, like(a, 1.0), z)
    quotient = sin(z) / safe
    slope = (cos(z) - quotient) * like(a, 3.141592653589793) * (like(a, 1.0) / safe)
    high = u * u * u * u
    low = like(a, 1.0) - u * (like(a, 0.16666666666666666) - u * (like(a, 0.008333333333333333) - u * (like(a, 0.0001984126984126984) - u * like(a, 2.7557319223985893e-06))))
    series = low - high * u * like(a, 2.505210838544172e-08)
    low_slope = like(a, 0.3333333333333333) - u * (like(a, 0.03333333333333333) - u * (like(a, 0.0011904761904761906) - u * like(a, 2.2045855379188714e-05)))
    series_slope = like(a, -3.141592653589793) * z * low_slope - like(a, 3.141592653589793) * z * high * like(a, 2.505210838544172e-07)
    value = select(far, like(a, 0.0), select(near, series, quotient))
    da = select(far, like(a, 0.0), select(near, series_slope, slope))
    return value, da


@compiled
def tanh_rule(a):
    value = tanh(a)
    da = (like(a, 1.0) - value) * (like(a, 1.0) + value)
    return value, da


@compiled
def atan_rule(a):
    value = atan(a)
    da = like(a, 1.0) / (like(a, 1.0) + a * a)
    return value, da


@compiled
def asinh_rule(a):
    m = abs(a)
    huge = m > like(a, 1000000000.0)
    safe = select(huge, like(a, 1.0), m)
    root = np.sqrt(safe * safe + like(a, 1.0))
    moderate = log1p(safe + safe * safe / (like(a, 1.0) + root))
    size = select(huge, log(m) + like(a, 0.6931471805599453), moderate)
    value = select(a < like(a, 0.0), -size, size)
    da = like(a, 1.0) / select(huge, m, root)
    return value, da


@compiled
def erf_rule(a):
    value = erf(a)
    da = like(a, 1.1283791670955126) * bell(a)
    return value, da


@compiled
def sigmoid_rule(a):
    e = exp(-abs(a))
    q = like(a, 1.0) / (like(a, 1.0) + e)
    logistic = select(a >= like(a, 0.0), q, e * q)
    value = select(a == a, logistic, a)
    da = e * q * q
    return value, da


@compiled
def softplus_rule(a):
    e = exp(-abs(a))
    q = like(a, 1.0) / (like(a, 1.0) + e)
    value = select(a == a, select(a > like(a, 0.0), a, like(a, 0.0)) + log1p(e), a)
    da = select(a >= like(a, 0.0), q, e * q)
    return value, da


@compiled
def softsign_rule(a):
    q = like(a, 1.0) / (like(a, 1.0) + abs(a))
    limit = select(a > like(a, 0.0), like(a, 1.0), like(a, -1.0))
    value = select(abs(a) == like(a, np.inf), limit, a * q)
    da = q * q
    return value, da


@compiled
def relu_rule(a):
    value = select(a == a, select(a > like(a, 0.0), a, like(a, 0.0)), a)
    da = select(a > like(a, 0.0), like(a, 1.0), like(a, 0.0))
    return value, da


@compiled
def gelu_rule(a):
    z = select(abs(a) > like(a, 39.0), like(a, 39.0), abs(a))
    tail = normal_sf(z)
    value = select(a < like(a, 0.0), like(a, 0.0), a) - z * tail
    slope = tail - z * normal_pdf(z)
    da = select(a < like(a, 0.0), slope, like(a, 1.0) - slope)
    return value, da


@compiled
def silu_rule(a):
    e = exp(-abs(a))
    q = like(a, 1.0) / (like(a, 1.0) + e)
    gate = select(a >= like(a, 0.0), q, e * q)
    infinite = abs(a) == like(a, np.inf)
    limit = select(a < like(a, 0.0), like(a, 0.0), a)
    value = select(infinite, limit, a * gate)
    da = select(infinite, gate, gate + a * (e * q * q))
    return value, da


@compiled
def gaussian_rule(a):
    value = bell(a)
    da = select(abs(a) == like(a, np.inf), like(a, 0.0), like(a, -2.0) * (a * value))
    return value, da


@compiled
def sign_rule(a):
    signum = select(a < like(a, 0.0), like(a, -1.0), select(a > like(a, 0.0), like(a, 1.0), like(a, 0.0)))
    value = select(a == a, signum, a)
    da = like(a, 0.0)
    return value, da


@compiled
def min_rule(a, b):
    chosen = select(a < b, a, b)
    value = select(a != a, a, chosen)
    da = select(a == b, like(a, 0.5), select(a < b, like(a, 1.0), like(a, 0.0)))
    db = like(a, 1.0) - da
    return value, da, db


@compiled
def max_rule(a, b):
    chosen = select(a > b, a, b)
    value = select(a != a, a, chosen)
    da = select(a == b, like(a, 0.5), select(a > b, like(a, 1.0), like(a, 0.0)))
    db = like(a, 1.0) - da
    return value, da, db


@compiled
def lt_rule(a, b):
    value = select(a < b, like(a, 1.0), like(a, 0.0))
    da = like(a, 0.0)
    db = like(a, 0.0)
    return value, da, db


@compiled
def le_rule(a, b):
    value = select(a <= b, like(a, 1.0), like(a, 0.0))
    da = like(a, 0.0)
    db = like(a, 0.0)
    return value, da, db


@compiled
def gt_rule(a, b):
    value = select(a > b, like(a, 1.0), like(a, 0.0))
    da = like(a, 0.0)
    db = like(a, 0.0)
    return value, da, db


@compiled
def ge_rule(a, b):
    value = select(a >= b, like(a, 1.0), like(a, 0.0))
    da = like(a, 0.0)
    db = like(a, 0.0)
    return value, da, db


#: The rule of each primitive of single elements; ``where`` has a loop instead.
RULES: dict[str, Any] = {
    "add": add_rule,
    "sub": sub_rule,
    "mul": mul_rule,
    "div": div_rule,
    "neg": neg_rule,
    "abs": abs_rule,
    "square": square_rule,
    "cube": cube_rule,
    "sqrt": sqrt_rule,
    "exp": exp_rule,
    "log": log_rule,
    "log1p": log1p_rule,
    "sin": sin_rule,
    "cos": cos_rule,
    "sinc": sinc_rule,
    "tanh": tanh_rule,
    "atan": atan_rule,
    "asinh": asinh_rule,
    "erf": erf_rule,
    "sigmoid": sigmoid_rule,
    "softplus": softplus_rule,
    "softsign": softsign_rule,
    "relu": relu_rule,
    "gelu": gelu_rule,
    "silu": silu_rule,
    "gaussian": gaussian_rule,
    "sign": sign_rule,
    "min": min_rule,
    "max": max_rule,
    "lt": lt_rule,
    "le": le_rule,
    "gt": gt_rule,
    "ge": ge_rule,
}


@njit(error_model="numpy", forceinline=True)
def instruction(op, w, v, t, dual, blocks, d, a, b, c):
    """Run one instruction on some blocks; see :mod:`symact.backends.numba.loops`."""
    if op == 0:
        two(add_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 1:
        two(sub_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 2:
        two(mul_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 3:
        two(div_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 4:
        one(neg_rule, w, v, t, dual, blocks, d, a)
    elif op == 5:
        one(abs_rule, w, v, t, dual, blocks, d, a)
    elif op == 6:
        one(square_rule, w, v, t, dual, blocks, d, a)
    elif op == 7:
        one(cube_rule, w, v, t, dual, blocks, d, a)
    elif op == 8:
        one(sqrt_rule, w, v, t, dual, blocks, d, a)
    elif op == 9:
        one(exp_rule, w, v, t, dual, blocks, d, a)
    elif op == 10:
        one(log_rule, w, v, t, dual, blocks, d, a)
    elif op == 11:
        one(log1p_rule, w, v, t, dual, blocks, d, a)
    elif op == 12:
        one(sin_rule, w, v, t, dual, blocks, d, a)
    elif op == 13:
        one(cos_rule, w, v, t, dual, blocks, d, a)
    elif op == 14:
        one(sinc_rule, w, v, t, dual, blocks, d, a)
    elif op == 15:
        one(tanh_rule, w, v, t, dual, blocks, d, a)
    elif op == 16:
        one(atan_rule, w, v, t, dual, blocks, d, a)
    elif op == 17:
        one(asinh_rule, w, v, t, dual, blocks, d, a)
    elif op == 18:
        one(erf_rule, w, v, t, dual, blocks, d, a)
    elif op == 19:
        one(sigmoid_rule, w, v, t, dual, blocks, d, a)
    elif op == 20:
        one(softplus_rule, w, v, t, dual, blocks, d, a)
    elif op == 21:
        one(softsign_rule, w, v, t, dual, blocks, d, a)
    elif op == 22:
        one(relu_rule, w, v, t, dual, blocks, d, a)
    elif op == 23:
        one(gelu_rule, w, v, t, dual, blocks, d, a)
    elif op == 24:
        one(silu_rule, w, v, t, dual, blocks, d, a)
    elif op == 25:
        one(gaussian_rule, w, v, t, dual, blocks, d, a)
    elif op == 26:
        one(sign_rule, w, v, t, dual, blocks, d, a)
    elif op == 27:
        two(min_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 28:
        two(max_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 29:
        where(w, v, t, dual, blocks, d, a, b, c)
    elif op == 30:
        two(lt_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 31:
        two(le_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 32:
        two(gt_rule, w, v, t, dual, blocks, d, a, b)
    elif op == 33:
        two(ge_rule, w, v, t, dual, blocks, d, a, b)

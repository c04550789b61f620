"""The elementary functions and the rules of the primitives for Triton.

Written by ``tools/generate_kernels.py`` from the rules of the primitives; do not edit.

The elementary functions are those of :mod:`symact.backends.numba.single`, which states their
accuracy. A rule returns the values and the partial derivatives of a tensor of points.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _clip(x, low, high):
    """Clip to [low, high]; NaN stays. Written so that it takes two instructions."""
    x = tl.where(x < low, low, x)
    return tl.where(x > high, high, x)


@triton.jit
def exp(x):
    a = _clip(x, -87.5, 89.0)
    t = a * 1.442695 + 12582912.0
    n = t - 12582912.0
    r = a - n * 0.6933594 - n * -0.00021219444
    p = 0.0013813145
    p = p * r + 0.008369419
    p = p * r + 0.041668456
    p = p * r + 0.16666515
    p = p * r + 0.49999994
    q = r + r * r * p
    half = (t.to(tl.int32, bitcast=True) + 126 << 23).to(tl.float32, bitcast=True)
    return (half + half * q) * 2.0


@triton.jit
def _log_polynomial(f):
    """log(1 + f) - f, for 1 + f in [sqrt(1/2), sqrt(2)]."""
    p = 0.087004304
    p = p * f + -0.14267486
    p = p * f + 0.14914769
    p = p * f + -0.16577585
    p = p * f + 0.19963063
    p = p * f + -0.25001338
    p = p * f + 0.3333391
    return f * f * (p * f - 0.5)


@triton.jit
def log(x):
    bits = x.to(tl.int32, bitcast=True)
    exponent = bits - 1060439283 >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    e = exponent.to(tl.float32)
    value = e * 0.6933594 + (f + (e * -0.00021219444 + _log_polynomial(f)))
    value = tl.where(x < float("inf"), value, x)
    value = tl.where(x < 1.1754944e-38, float("-inf"), value)
    return tl.where(x < 0.0, float("nan"), value)


@triton.jit
def log1p(x):
    a = tl.where(x < 8e+37, x, 8e+37)
    bits = (a + 1.0).to(tl.int32, bitcast=True)
    exponent = bits - 1060439283 >> 23
    scale = (1065353216 - (exponent << 23)).to(tl.float32, bitcast=True)
    f = a * scale + (scale - 1.0)
    e = exponent.to(tl.float32)
    value = e * 0.6933594 + (f + (e * -0.00021219444 + _log_polynomial(f)))
    value = tl.where(x < float("inf"), value, x)
    value = tl.where(x <= -1.0, float("-inf"), value)
    return tl.where(x < -1.0, float("nan"), value)


@triton.jit
def _sincos(x):
    """Return (sin x, cos x); beyond 2**20 only bounded, NaN at infinities."""
    t = x * 0.31830987 + 12582912.0
    n = t - 12582912.0
    r = _clip(x - n * 3.140625 - n * 0.0009675026 - n * 1.509958e-07, -1.6, 1.6)
    sign = t.to(tl.int32, bitcast=True) << 31
    u = r * r
    s = 2.6060598e-06
    s = s * u + -0.00019809911
    s = s * u + 0.008333073
    s = s * u + -0.1666666
    sine = r + r * u * s
    c = -2.6167078e-07
    c = c * u + 2.4768015e-05
    c = c * u + -0.0013888549
    c = c * u + 0.041666657
    cosine = 1.0 + u * (u * c - 0.5)
    return ((sine.to(tl.int32, bitcast=True) ^ sign).to(tl.float32, bitcast=True), (cosine.to(tl.int32, bitcast=True) ^ sign).to(tl.float32, bitcast=True))


@triton.jit
def sin(x):
    sine, _ = _sincos(x)
    return sine


@triton.jit
def cos(x):
    _, cosine = _sincos(x)
    return cosine


@triton.jit
def tanh(x):
    a = _clip(x, -9.02, 9.02)
    u = a * a
    p = 1.3319068e-08
    p = p * u + 2.0583477e-05
    p = p * u + 0.0034940343
    p = p * u + 0.13379718
    p = p * u + 1.0
    q = 7.762017e-07
    q = q * u + 0.00032830925
    q = q * u + 0.025871072
    q = q * u + 0.46713033
    q = q * u + 1.0
    return _clip(a * p / q, -1.0, 1.0)


@triton.jit
def atan(x):
    a = tl.abs(x)
    large = a > 1.0
    v = tl.where(large, (1.0 / a), a)
    u = v * v
    p = 0.0029745866
    p = p * u + -0.016581168
    p = p * u + 0.043553516
    p = p * u + -0.07580576
    p = p * u + 0.106789395
    p = p * u + -0.14214209
    p = p * u + 0.19994137
    p = p * u + -0.33333167
    value = v + v * u * p
    value = tl.where(large, (1.5707964 - value), value)
    return tl.where(x < 0.0, (value * -1.0), value)


@triton.jit
def erf(x):
    a = _clip(x, -3.95, 3.95)
    u = a * a
    p = 2.0259129e-06
    p = p * u + 0.00028468797
    p = p * u + 0.0038081582
    p = p * u + 0.052875437
    p = p * u + 0.1915502
    p = p * u + 1.1283792
    q = 3.7831862e-05
    q = q * u + 0.0011707256
    q = q * u + 0.015055082
    q = q * u + 0.114559576
    q = q * u + 0.5030896
    q = q * u + 1.0
    return _clip(a * p / q, -1.0, 1.0)


@triton.jit
def bell(x):
    """Return exp(-x**2)."""
    return exp(x * -1.0 * x)


@triton.jit
def _normal_power(z):
    """Return exp(-z**2/2) for z >= 0."""
    s = z * z
    s = tl.where(s > 176.5, 176.5, s)
    t = s * -0.7213475 + 12583039.0
    r = s * -0.7213475 - (t - 12583039.0)
    p = 0.0013264727
    p = p * r + 0.009671513
    p = p * r + 0.055507336
    p = p * r + 0.24022242
    p = p * r + 0.693147
    return (p * r + 1.0) * (t.to(tl.int32, bitcast=True) << 23).to(tl.float32, bitcast=True)


@triton.jit
def normal_pdf(z):
    """Return exp(-z**2/2) / sqrt(2 pi) for z >= 0."""
    return 0.3989423 * _normal_power(z)


@triton.jit
def normal_sf(z):
    """Return the probability that a standard normal variable exceeds z >= 0."""
    over = 0.01510531
    over = over * z + 0.111279614
    over = over * z + 0.3475258
    over = over * z + 0.49999994
    under = 0.037873246
    under = under * z + 0.27860063
    under = under * z + 0.91380537
    under = under * z + 1.4929296
    under = under * z + 1.0
    return over / under * _normal_power(z)


@triton.jit
def add_rule(a, b):
    value = a + b
    da = 1.0
    db = 1.0
    return value, da, db


@triton.jit
def sub_rule(a, b):
    value = a - b
    da = 1.0
    db = -1.0
    return value, da, db


@triton.jit
def mul_rule(a, b):
    value = a * b
    da = b
    db = a
    return value, da, db


@triton.jit
def div_rule(a, b):
    value = a / b
    da = 1.0 / b
    db = value * -1.0 * da
    return value, da, db


@triton.jit
def neg_rule(a):
    value = a * -1.0
    da = -1.0
    return value, da


@triton.jit
def abs_rule(a):
    value = tl.abs(a)
    da = tl.where(a < 0.0, -1.0, tl.where(a > 0.0, 1.0, 0.0))
    return value, da


@triton.jit
def square_rule(a):
    value = a * a
    da = a + a
    return value, da


@triton.jit
def cube_rule(a):
    s = a * a
    value = s * a
    da = 3.0 * s
    return value, da


@triton.jit
def sqrt_rule(a):
    value = tl.sqrt(a)
    da = 0.5 / value
    return value, da


@triton.jit
def exp_rule(a):
    value = exp(a)
    da = value
    return value, da


@triton.jit
def log_rule(a):
    value = log(a)
    da = 1.0 / a
    return value, da


@triton.jit
def log1p_rule(a):
    value = log1p(a)
    da = 1.0 / (a + 1.0)
    return value, da


@triton.jit
def sin_rule(a):
    value = sin(a)
    da = cos(a)
    return value, da


@triton.jit
def cos_rule(a):
    value = cos(a)
    da = sin(a) * -1.0
    return value, da


@triton.jit
def sinc_rule(a):
    z = 3.141592653589793 * a
    u = z * z
    near = tl.abs(z) < 0.3
    far = tl.abs(z) == float("inf")
    safe = tl.where(near, 1.0, z)
    quotient = sin(z) / safe
    slope = (cos(z) - quotient) * 3.141592653589793 * (1.0 / safe)
    high = u * u * u * u
    low = 1.0 - u * (0.16666666666666666 - u * (0.008333333333333333 - u * (0.0001984126984126984 - u * 2.7557319223985893e-06)))
    series = low - high * u * 2.505210838544172e-08
    low_slope = 0.3333333333333333 - u * (0.03333333333333333 - u * (0.0011904761904761906 - u * 2.2045855379188714e-05))
    series_slope = -3.141592653589793 * z * low_slope - 3.141592653589793 * z * high * 2.505210838544172e-07
    value = tl.where(far, 0.0, tl.where(near, series, quotient))
    da = tl.where(far, 0.0, tl.where(near, series_slope, slope))
    return value, da


@triton.jit
def tanh_rule(a):
    value = tanh(a)
    da = (1.0 - value) * (1.0 + value)
    return value, da


@triton.jit
def atan_rule(a):
    value = atan(a)
    da = 1.0 / (1.0 + a * a)
    return value, da


@triton.jit
def asinh_rule(a):
    m = tl.abs(a)
    huge = m > 1000000000.0
    safe = tl.where(huge, 1.0, m)
    root = tl.sqrt(safe * safe + 1.0)
    moderate = log1p(safe + safe * safe / (1.0 + root))
    size = tl.where(huge, log(m) + 0.6931471805599453, moderate)
    value = tl.where(a < 0.0, size * -1.0, size)
    da = 1.0 / tl.where(huge, m, root)
    return value, da


@triton.jit
def erf_rule(a):
    value = erf(a)
    da = 1.1283791670955126 * bell(a)
    return value, da


@triton.jit
def sigmoid_rule(a):
    e = exp(tl.abs(a) * -1.0)
    q = 1.0 / (1.0 + e)
    logistic = tl.where(a >= 0.0, q, e * q)
    value = tl.where(a == a, logistic, a)
    da = e * q * q
    return value, da


@triton.jit
def softplus_rule(a):
    e = exp(tl.abs(a) * -1.0)
    q = 1.0 / (1.0 + e)
    value = tl.where(a == a, tl.where(a > 0.0, a, 0.0) + log1p(e), a)
    da = tl.where(a >= 0.0, q, e * q)
    return value, da


@triton.jit
def softsign_rule(a):
    q = 1.0 / (1.0 + tl.abs(a))
    limit = tl.where(a > 0.0, 1.0, -1.0)
    value = tl.where(tl.abs(a) == float("inf"), limit, a * q)
    da = q * q
    return value, da


@triton.jit
def relu_rule(a):
    value = tl.where(a == a, tl.where(a > 0.0, a, 0.0), a)
    da = tl.where(a > 0.0, 1.0, 0.0)
    return value, da


@triton.jit
def gelu_rule(a):
    z = tl.where(tl.abs(a) > 39.0, 39.0, tl.abs(a))
    tail = normal_sf(z)
    value = tl.where(a < 0.0, 0.0, a) - z * tail
    slope = tail - z * normal_pdf(z)
    da = tl.where(a < 0.0, slope, 1.0 - slope)
    return value, da


@triton.jit
def silu_rule(a):
    e = exp(tl.abs(a) * -1.0)
    q = 1.0 / (1.0 + e)
    gate = tl.where(a >= 0.0, q, e * q)
    infinite = tl.abs(a) == float("inf")
    limit = tl.where(a < 0.0, 0.0, a)
    value = tl.where(infinite, limit, a * gate)
    da = tl.where(infinite, gate, gate + a * (e * q * q))
    return value, da


@triton.jit
def gaussian_rule(a):
    value = bell(a)
    da = tl.where(tl.abs(a) == float("inf"), 0.0, -2.0 * (a * value))
    return value, da


@triton.jit
def sign_rule(a):
    signum = tl.where(a < 0.0, -1.0, tl.where(a > 0.0, 1.0, 0.0))
    value = tl.where(a == a, signum, a)
    da = 0.0
    return value, da


@triton.jit
def min_rule(a, b):
    chosen = tl.where(a < b, a, b)
    value = tl.where(a != a, a, chosen)
    da = tl.where(a == b, 0.5, tl.where(a < b, 1.0, 0.0))
    db = 1.0 - da
    return value, da, db


@triton.jit
def max_rule(a, b):
    chosen = tl.where(a > b, a, b)
    value = tl.where(a != a, a, chosen)
    da = tl.where(a == b, 0.5, tl.where(a > b, 1.0, 0.0))
    db = 1.0 - da
    return value, da, db


@triton.jit
def lt_rule(a, b):
    value = tl.where(a < b, 1.0, 0.0)
    da = 0.0
    db = 0.0
    return value, da, db


@triton.jit
def le_rule(a, b):
    value = tl.where(a <= b, 1.0, 0.0)
    da = 0.0
    db = 0.0
    return value, da, db


@triton.jit
def gt_rule(a, b):
    value = tl.where(a > b, 1.0, 0.0)
    da = 0.0
    db = 0.0
    return value, da, db


@triton.jit
def ge_rule(a, b):
    value = tl.where(a >= b, 1.0, 0.0)
    da = 0.0
    db = 0.0
    return value, da, db


@triton.jit
def along_one(rule, da, SLOPES: tl.constexpr):
    """Return a rule's value and tangent; without slopes the tangent is whatever stood there."""
    tangent = da
    if SLOPES:
        tangent = rule[1] * da
    return rule[0], tangent


@triton.jit
def along_two(rule, da, db, SLOPES: tl.constexpr):
    """Return value and tangent of a rule of two arguments."""
    tangent = da
    if SLOPES:
        tangent = rule[1] * da + rule[2] * db
    return rule[0], tangent


@triton.jit
def instruction(op, acc, dacc, a, da, b, db, SLOPES: tl.constexpr):
    """Return value and tangent of the primitive ``op`` of one or two arguments."""
    if op == 0:
        acc, dacc = along_two(add_rule(a, b), da, db, SLOPES)
    elif op == 1:
        acc, dacc = along_two(sub_rule(a, b), da, db, SLOPES)
    elif op == 2:
        acc, dacc = along_two(mul_rule(a, b), da, db, SLOPES)
    elif op == 3:
        acc, dacc = along_two(div_rule(a, b), da, db, SLOPES)
    elif op == 4:
        acc, dacc = along_one(neg_rule(a), da, SLOPES)
    elif op == 5:
        acc, dacc = along_one(abs_rule(a), da, SLOPES)
    elif op == 6:
        acc, dacc = along_one(square_rule(a), da, SLOPES)
    elif op == 7:
        acc, dacc = along_one(cube_rule(a), da, SLOPES)
    elif op == 8:
        acc, dacc = along_one(sqrt_rule(a), da, SLOPES)
    elif op == 9:
        acc, dacc = along_one(exp_rule(a), da, SLOPES)
    elif op == 10:
        acc, dacc = along_one(log_rule(a), da, SLOPES)
    elif op == 11:
        acc, dacc = along_one(log1p_rule(a), da, SLOPES)
    elif op == 12:
        acc, dacc = along_one(sin_rule(a), da, SLOPES)
    elif op == 13:
        acc, dacc = along_one(cos_rule(a), da, SLOPES)
    elif op == 14:
        acc, dacc = along_one(sinc_rule(a), da, SLOPES)
    elif op == 15:
        acc, dacc = along_one(tanh_rule(a), da, SLOPES)
    elif op == 16:
        acc, dacc = along_one(atan_rule(a), da, SLOPES)
    elif op == 17:
        acc, dacc = along_one(asinh_rule(a), da, SLOPES)
    elif op == 18:
        acc, dacc = along_one(erf_rule(a), da, SLOPES)
    elif op == 19:
        acc, dacc = along_one(sigmoid_rule(a), da, SLOPES)
    elif op == 20:
        acc, dacc = along_one(softplus_rule(a), da, SLOPES)
    elif op == 21:
        acc, dacc = along_one(softsign_rule(a), da, SLOPES)
    elif op == 22:
        acc, dacc = along_one(relu_rule(a), da, SLOPES)
    elif op == 23:
        acc, dacc = along_one(gelu_rule(a), da, SLOPES)
    elif op == 24:
        acc, dacc = along_one(silu_rule(a), da, SLOPES)
    elif op == 25:
        acc, dacc = along_one(gaussian_rule(a), da, SLOPES)
    elif op == 26:
        acc, dacc = along_one(sign_rule(a), da, SLOPES)
    elif op == 27:
        acc, dacc = along_two(min_rule(a, b), da, db, SLOPES)
    elif op == 28:
        acc, dacc = along_two(max_rule(a, b), da, db, SLOPES)
    elif op == 30:
        acc, dacc = along_two(lt_rule(a, b), da, db, SLOPES)
    elif op == 31:
        acc, dacc = along_two(le_rule(a, b), da, db, SLOPES)
    elif op == 32:
        acc, dacc = along_two(gt_rule(a, b), da, db, SLOPES)
    elif op == 33:
        acc, dacc = along_two(ge_rule(a, b), da, db, SLOPES)
    return acc, dacc

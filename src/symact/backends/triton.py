"""The Triton lowering: programs as data again, and one interpreter kernel for a whole stack.

A GPU thread block takes a block of points of one network, so that all its threads run the same
instructions: a branch on the opcode costs a jump and no divergence. Compiling a kernel for every
candidate would take a second each; this one is compiled once, with and once without slopes.

Where intermediate results stand decides the speed. A GPU has no indexed registers, and memory is
no good place: with enough threads to hide latency the rows of a block outgrow the L1 cache of an
H200, which besides writes every store through to L2. Choosing among register tensors costs selects,
two for each of them and each point, which is more than most primitives. So :func:`encode` turns
the tape into code for an accumulator: an instruction leaves its result there, the next one mostly
wants just that, and only what is read later moves to one of :data:`SLOTS` register tensors, or
back. Both moves stand under branches of their own. Nearly all programs need no more slots than
there are; rows in memory take the rest.

The elementary functions are those of :mod:`symact.backends.numba.single`, from products and sums
only: Triton's own exp is too coarse far from 0, its interpreter has no libdevice, and float32
products are what such a GPU has most of. The rules are those of
:mod:`symact.backends.numba.kernels`. The two differ where the compiler fuses products and sums, and
in division, which is off by up to two units in the last place.

This module needs triton, so nobody imports it before a CUDA device has been seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from symact.backends.numba import tape as t
from symact.backends.numba.tape import Program
from symact.expr.primitives import BY_OPCODE

#: Points of a thread block: four a thread, one 16-byte load.
BLOCK = 512
WARPS = 4
#: Register tensors for values (and as many for tangents) beside the accumulator.
SLOTS = 4
#: Thread blocks of a launch whose programs need rows in memory; each owns its rows and takes
#: several blocks of points. Eight for each multiprocessor of an H200.
WORKERS = 1056

# A constant stands right of a tensor, or Triton's interpreter takes the sum for a constant too.
_BLOCK = tl.constexpr(BLOCK)
_SLOTS = tl.constexpr(SLOTS)

# Where an operand stands; constant i is at -1 - i.
X = 0
ACCUMULATOR = 1
FIRST_SLOT = 2
_ACCUMULATOR = tl.constexpr(ACCUMULATOR)
_FIRST_SLOT = tl.constexpr(FIRST_SLOT)
#: The destination of a result that only the next instruction reads.
NOWHERE = -1
_NOWHERE = tl.constexpr(NOWHERE)

_ADD, _SUB, _MUL, _DIV = map(tl.constexpr, (t.ADD, t.SUB, t.MUL, t.DIV))
_NEG, _ABS, _SQUARE, _CUBE = map(tl.constexpr, (t.NEG, t.ABS, t.SQUARE, t.CUBE))
_SQRT, _EXP, _LOG, _LOG1P = map(tl.constexpr, (t.SQRT, t.EXP, t.LOG, t.LOG1P))
_SIN, _COS, _SINC, _TANH = map(tl.constexpr, (t.SIN, t.COS, t.SINC, t.TANH))
_ATAN, _ASINH, _ERF, _SIGMOID = map(tl.constexpr, (t.ATAN, t.ASINH, t.ERF, t.SIGMOID))
_SOFTPLUS, _SOFTSIGN, _RELU = map(tl.constexpr, (t.SOFTPLUS, t.SOFTSIGN, t.RELU))
_GELU, _SILU, _GAUSSIAN, _SIGN = map(tl.constexpr, (t.GELU, t.SILU, t.GAUSSIAN, t.SIGN))
_MIN, _MAX, _WHERE = map(tl.constexpr, (t.MIN, t.MAX, t.WHERE))
_LT, _LE, _GT, _GE = map(tl.constexpr, (t.LT, t.LE, t.GT, t.GE))

_INFINITY = tl.constexpr(math.inf)
_PI = tl.constexpr(math.pi)
_HALF_PI = tl.constexpr(math.pi / 2)
_ONE_OVER_PI = tl.constexpr(1 / math.pi)
_LOG2E = tl.constexpr(1 / math.log(2.0))
_LN2 = tl.constexpr(math.log(2.0))
_SQRT_HALF = tl.constexpr(math.sqrt(0.5))
_TWO_OVER_SQRT_PI = tl.constexpr(2 / math.sqrt(math.pi))
_DENSITY = tl.constexpr(1 / math.sqrt(2 * math.pi))
#: Adding it leaves a float's nearest integer in its lowest bits.
_MAGIC = tl.constexpr(1.5 * 2**23)
_SQRT_HALF_BITS = tl.constexpr(0x3F3504F3)
_ONE_BITS = tl.constexpr(127 << 23)
_SMALLEST = tl.constexpr(1.17549435e-38)
# ln 2 and pi in parts: products of all but the last with small integers are exact.
_LN2_HIGH = tl.constexpr(0.693359375)
_LN2_LOW = tl.constexpr(-2.12194440e-4)
_PI_1 = tl.constexpr(3.140625)
_PI_2 = tl.constexpr(9.675025939941406e-04)
_PI_3 = tl.constexpr(1.5099579897537296e-07)


@triton.jit
def _clip(x, low, high):
    """Clip to [low, high]; NaN stays."""
    x = tl.where(x < low, low, x)
    return tl.where(x > high, high, x)


@triton.jit
def _bits(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def _float(bits):
    return bits.to(tl.float32, bitcast=True)


# Elementary functions; see symact.backends.numba.single for their accuracy and coefficients.


@triton.jit
def _exp(x):
    a = _clip(x, -87.5, 89.0)
    shifted = a * _LOG2E + _MAGIC
    n = shifted - _MAGIC
    r = (a - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.381314439e-03
    p = p * r + 8.369418847e-03
    p = p * r + 4.166845679e-02
    p = p * r + 1.666651479e-01
    p = p * r + 4.999999305e-01
    q = r + r * r * p
    half = _float((_bits(shifted) + 126) << 23)
    return (half + half * q) * 2.0


@triton.jit
def _log_scaled(f, e):
    """log((1 + f) 2**e), for 1 + f in [sqrt(1/2), sqrt(2)]."""
    p = 8.700430572e-02
    p = p * f + -1.426748622e-01
    p = p * f + 1.491476922e-01
    p = p * f + -1.657758477e-01
    p = p * f + 1.996306370e-01
    p = p * f + -2.500133704e-01
    p = p * f + 3.333391074e-01
    p = p * f + -0.5
    return e * _LN2_HIGH + (f + (e * _LN2_LOW + f * f * p))


@triton.jit
def _log(x):
    bits = _bits(tl.where(x >= _SMALLEST, x, 1.0))
    exponent = (bits - _SQRT_HALF_BITS) >> 23
    f = _float(bits - (exponent << 23)) - 1.0
    value = _log_scaled(f, exponent.to(tl.float32))
    value = tl.where(x < _INFINITY, value, x)
    value = tl.where(x < _SMALLEST, -_INFINITY, value)
    return tl.where(x < 0.0, float("nan"), value)


@triton.jit
def _log1p(x):
    a = _clip(x, -1.0, 8e37)
    exponent = (_bits(a + 1.0) - _SQRT_HALF_BITS) >> 23
    # (1 + x) / 2**exponent - 1 from x itself: the rounding of 1 + x never enters.
    scale = _float((exponent << 23) * -1 + _ONE_BITS)
    f = a * scale + (scale - 1.0)
    value = _log_scaled(f, exponent.to(tl.float32))
    value = tl.where(x < _INFINITY, value, x)
    value = tl.where(x <= -1.0, -_INFINITY, value)
    return tl.where(x < -1.0, float("nan"), value)


@triton.jit
def _sincos(x):
    """Return (sin x, cos x)."""
    shifted = x * _ONE_OVER_PI + _MAGIC
    n = shifted - _MAGIC
    r = _clip(((x - n * _PI_1) - n * _PI_2) - n * _PI_3, -1.6, 1.6)
    sign = _bits(shifted) << 31
    u = r * r
    s = 2.606059767e-06
    s = s * u + -1.980991031e-04
    s = s * u + 8.333073294e-03
    s = s * u + -1.666665995e-01
    sine = r + r * u * s
    c = -2.616707893e-07
    c = c * u + 2.476801523e-05
    c = c * u + -1.388854974e-03
    c = c * u + 4.166665488e-02
    cosine = 1.0 + u * (u * c - 0.5)
    return _float(_bits(sine) ^ sign), _float(_bits(cosine) ^ sign)


@triton.jit
def _tanh(x):
    a = _clip(x, -9.02, 9.02)
    u = a * a
    p = 1.331906735e-08
    p = p * u + 2.058347737e-05
    p = p * u + 3.494034298e-03
    p = p * u + 1.337971772e-01
    p = p * u + 9.999999790e-01
    q = 7.762017396e-07
    q = q * u + 3.283092428e-04
    q = q * u + 2.587107218e-02
    q = q * u + 4.671303296e-01
    q = q * u + 1.0
    return _clip(a * p / q, -1.0, 1.0)


@triton.jit
def _atan(x):
    a = tl.abs(x)
    large = a > 1.0
    v = tl.where(large, 1.0 / a, a)
    u = v * v
    p = 2.974586552e-03
    p = p * u + -1.658116882e-02
    p = p * u + 4.355351507e-02
    p = p * u + -7.580576116e-02
    p = p * u + 1.067893936e-01
    p = p * u + -1.421420891e-01
    p = p * u + 1.999413718e-01
    p = p * u + -3.333316696e-01
    value = v + v * u * p
    value = tl.where(large, value * -1.0 + _HALF_PI, value)
    return tl.where(x < 0.0, -value, value)


@triton.jit
def _erf(x):
    a = _clip(x, -3.95, 3.95)
    u = a * a
    p = 2.025912889e-06
    p = p * u + 2.846879673e-04
    p = p * u + 3.808158213e-03
    p = p * u + 5.287543754e-02
    p = p * u + 1.915501963e-01
    p = p * u + 1.128379189e00
    q = 3.783186284e-05
    q = q * u + 1.170725506e-03
    q = q * u + 1.505508206e-02
    q = q * u + 1.145595780e-01
    q = q * u + 5.030896103e-01
    q = q * u + 1.0
    return _clip(a * p / q, -1.0, 1.0)


@triton.jit
def _bell_tail(x):
    """Return (exp(-x**2), erfc |x|)."""
    a = tl.abs(x)
    bell = _exp(-a * a)
    w = 1.0 / (1.0 + 0.4 * a)
    p = -2.310129566e-02
    p = p * w + 1.634053527e-01
    p = p * w + -4.191481428e-01
    p = p * w + 4.437479242e-01
    p = p * w + -2.004884198e-01
    p = p * w + 2.284476039e-01
    p = p * w + 1.442232123e-01
    p = p * w + 2.119279688e-01
    p = p * w + 2.252956925e-01
    p = p * w + 2.256901220e-01
    return bell, w * p * bell


@triton.jit
def _logistic(a):
    """Return (1 / (1 + e**-a), its derivative), without overflow: always from exp(-|a|)."""
    e = _exp(-tl.abs(a))
    q = 1.0 / (1.0 + e)
    return tl.where(a >= 0.0, q, e * q), e * q * q


# Rules of one argument: (value, derivative).


@triton.jit
def _neg_rule(a):
    return a * -1.0, -1.0  # -a would be 0 - a, +0 at 0


@triton.jit
def _abs_rule(a):
    return tl.abs(a), tl.where(a > 0.0, 1.0, tl.where(a < 0.0, -1.0, 0.0))


@triton.jit
def _square_rule(a):
    return a * a, a + a


@triton.jit
def _cube_rule(a):
    s = a * a
    return s * a, 3.0 * s


@triton.jit
def _sqrt_rule(a):
    root = tl.sqrt(a)
    return root, 0.5 / root


@triton.jit
def _exp_rule(a):
    value = _exp(a)
    return value, value


@triton.jit
def _log_rule(a):
    return _log(a), 1.0 / a


@triton.jit
def _log1p_rule(a):
    return _log1p(a), 1.0 / (a + 1.0)


@triton.jit
def _sin_rule(a):
    s, c = _sincos(a)
    return s, c


@triton.jit
def _cos_rule(a):
    s, c = _sincos(a)
    return c, -s


@triton.jit
def _sinc_rule(a):
    """sin(pi a)/(pi a); a series near 0, where the quotient's derivative cancels."""
    z = a * _PI
    u = z * z
    near = tl.abs(z) < 0.3
    s, c = _sincos(z)
    inverse = 1.0 / tl.where(near, 1.0, z)
    quotient = s * inverse
    slope = (c - quotient) * _PI * inverse
    # What is left out is below 1e-9 of the whole.
    series = 1.0 - u * (1.0 / 6 - u * (1.0 / 120 - u * (1.0 / 5040)))
    series_slope = 1.0 / 3 - u * (1.0 / 30 - u * (1.0 / 840 - u * (1.0 / 45360)))
    series_slope = series_slope * (z * -_PI)
    infinite = tl.abs(z) == _INFINITY
    value = tl.where(infinite, 0.0, tl.where(near, series, quotient))
    return value, tl.where(infinite, 0.0, tl.where(near, series_slope, slope))


@triton.jit
def _tanh_rule(a):
    value = _tanh(a)
    return value, (1.0 - value) * (1.0 + value)


@triton.jit
def _atan_rule(a):
    return _atan(a), 1.0 / (1.0 + a * a)


@triton.jit
def _asinh_rule(a):
    m = tl.abs(a)
    huge = m > 1e9
    safe = tl.where(huge, 1.0, m)
    root = tl.sqrt(safe * safe + 1.0)
    value = _log1p(safe + safe * safe / (1.0 + root))
    value = tl.where(huge, _log(m) + _LN2, value)
    return tl.where(a < 0.0, -value, value), 1.0 / tl.where(huge, m, root)


@triton.jit
def _erf_rule(a):
    return _erf(a), _exp(-a * a) * _TWO_OVER_SQRT_PI


@triton.jit
def _sigmoid_rule(a):
    value, slope = _logistic(a)
    return tl.where(a == a, value, a), slope


@triton.jit
def _softplus_rule(a):
    value = tl.where(a > 0.0, a, 0.0) + _log1p(_exp(-tl.abs(a)))
    slope, _ = _logistic(a)
    return tl.where(a == a, value, a), slope


@triton.jit
def _softsign_rule(a):
    q = 1.0 / (1.0 + tl.abs(a))
    limit = tl.where(a > 0.0, 1.0, -1.0)
    return tl.where(tl.abs(a) == _INFINITY, limit, a * q), q * q


@triton.jit
def _relu_rule(a):
    value = tl.where(a > 0.0, a, 0.0)
    return tl.where(a == a, value, a), tl.where(a > 0.0, 1.0, 0.0)


@triton.jit
def _gelu_rule(a):
    """Compute a Phi(a); the left tail comes from erfc, so it keeps its relative accuracy."""
    bell, tail = _bell_tail(a * _SQRT_HALF)
    lower = 0.5 * tail
    phi = tl.where(a < 0.0, lower, 1.0 - lower)
    infinite = tl.abs(a) == _INFINITY
    value = tl.where(infinite, tl.where(a < 0.0, 0.0, a), a * phi)
    return value, tl.where(infinite, phi, phi + a * (bell * _DENSITY))


@triton.jit
def _silu_rule(a):
    s, slope = _logistic(a)
    infinite = tl.abs(a) == _INFINITY
    value = tl.where(infinite, tl.where(a < 0.0, 0.0, a), a * s)
    return value, tl.where(infinite, s, s + a * slope)


@triton.jit
def _gaussian_rule(a):
    value = _exp(-a * a)
    return value, tl.where(tl.abs(a) == _INFINITY, 0.0, -2.0 * (a * value))


@triton.jit
def _sign_rule(a):
    value = tl.where(a > 0.0, 1.0, tl.where(a < 0.0, -1.0, 0.0))
    return tl.where(a == a, value, a), 0.0


# Rules of two arguments: (value, derivative by a, derivative by b).


@triton.jit
def _add_rule(a, b):
    return a + b, 1.0, 1.0


@triton.jit
def _sub_rule(a, b):
    return a - b, 1.0, -1.0


@triton.jit
def _mul_rule(a, b):
    return a * b, b, a


@triton.jit
def _div_rule(a, b):
    r = 1.0 / b
    q = a / b
    return q, r, -q * r


@triton.jit
def _min_rule(a, b):
    """NaN if either is; a tie shares the derivative, as in torch."""
    value = tl.where(a < b, a, b)
    left = tl.where(a < b, 1.0, tl.where(a == b, 0.5, 0.0))
    return tl.where(a != a, a, value), left, 1.0 - left


@triton.jit
def _max_rule(a, b):
    """NaN if either is; a tie shares the derivative, as in torch."""
    value = tl.where(a > b, a, b)
    left = tl.where(a > b, 1.0, tl.where(a == b, 0.5, 0.0))
    return tl.where(a != a, a, value), left, 1.0 - left


@triton.jit
def _lt_rule(a, b):
    return tl.where(a < b, 1.0, 0.0), 0.0, 0.0


@triton.jit
def _le_rule(a, b):
    return tl.where(a <= b, 1.0, 0.0), 0.0, 0.0


@triton.jit
def _gt_rule(a, b):
    return tl.where(a > b, 1.0, 0.0), 0.0, 0.0


@triton.jit
def _ge_rule(a, b):
    return tl.where(a >= b, 1.0, 0.0), 0.0, 0.0


@triton.jit
def _along(rule, da, SLOPES: tl.constexpr):  # noqa: N803
    """Return a rule's value and tangent; without slopes the tangent is whatever stood there."""
    tangent = da
    if SLOPES:
        tangent = rule[1] * da
    return rule[0], tangent


@triton.jit
def _along_two(rule, da, db, SLOPES: tl.constexpr):  # noqa: N803
    tangent = da
    if SLOPES:
        tangent = rule[1] * da + rule[2] * db
    return rule[0], tangent


@triton.jit
def _fetch(place, x, values, tangents, constants, rows, SLOPES: tl.constexpr):  # noqa: N803
    """Return value and tangent of an operand that is not in the accumulator."""
    value, tangent = x, tl.full(x.shape, 1.0, tl.float32)
    if place < 0:
        value = tl.full(x.shape, 0.0, tl.float32) + tl.load(constants + (-1 - place))
        tangent = tl.full(x.shape, 0.0, tl.float32)
    elif place >= _FIRST_SLOT + _SLOTS:
        row = rows + (place - _FIRST_SLOT - _SLOTS) * (2 * _BLOCK) + tl.arange(0, _BLOCK)
        value = tl.load(row)
        if SLOPES:
            tangent = tl.load(row + _BLOCK)
    elif place >= _FIRST_SLOT:
        for slot in tl.static_range(_SLOTS):
            if place == _FIRST_SLOT + slot:
                value = values[slot]
                if SLOPES:
                    tangent = tangents[slot]
    return value, tangent


@triton.jit
def _put(kept, slot, new):
    """Return register tensors with one replaced."""
    out = ()
    for own in tl.static_range(_SLOTS):
        out += (tl.where(slot == own, new, kept[own]),)  # type: ignore[assignment]
    return out


@triton.jit(do_not_specialize=["networks", "own_rows"])
def _interpret(
    z,
    value_out,
    slope_out,
    code,
    spans,
    constants,
    scratch,
    networks,
    size,
    own_rows,
    SLOPES: tl.constexpr,  # noqa: N803
):
    """Run every network's program on its points.

    Args:
        z: float32 [network, size].
        value_out: Takes the values.
        slope_out: Takes the slopes; not touched without ``SLOPES``.
        code: int32 [instruction, 5] as :func:`encode` makes it.
        spans: int32 [network, 3]: code from and to, and the place of the result.
        constants: float32 [constant].
        scratch: float32, ``own_rows`` pairs of rows for each thread block.
        networks: How many.
        size: Points of a network.
        own_rows: See ``scratch``.
        SLOPES: Whether to carry tangents.
    """
    worker = tl.program_id(0)
    tiles = tl.cdiv(size, _BLOCK)
    rows = scratch + worker.to(tl.int64) * own_rows * (2 * _BLOCK)
    # Triton's interpreter takes no tensors in range(), with numpy from 2.4 on.
    tile = worker
    while tile < networks * tiles:
        network = tile // tiles
        offsets = (tile % tiles) * _BLOCK + tl.arange(0, _BLOCK)
        inside = offsets < size
        base = network.to(tl.int64) * size
        x = tl.load(z + base + offsets, mask=inside, other=0.0)
        step = tl.load(spans + network * 3)
        last = tl.load(spans + network * 3 + 1)
        result = tl.load(spans + network * 3 + 2)
        acc, dacc = x, tl.full(x.shape, 1.0, tl.float32)
        values, tangents = (), ()
        for _ in tl.static_range(_SLOTS):
            values += (x,)  # type: ignore[assignment]
            tangents += (dacc,)  # type: ignore[assignment]
        while step < last:
            word = code + step * 5
            op, slot = tl.load(word), tl.load(word + 1)
            place_a, place_b = tl.load(word + 2), tl.load(word + 3)
            a, da, b, db = acc, dacc, acc, dacc
            if place_a != _ACCUMULATOR:
                a, da = _fetch(place_a, x, values, tangents, constants, rows, SLOPES)
            if place_b != _ACCUMULATOR:
                b, db = _fetch(place_b, x, values, tangents, constants, rows, SLOPES)
            if op == _ADD:
                acc, dacc = _along_two(_add_rule(a, b), da, db, SLOPES)
            elif op == _SUB:
                acc, dacc = _along_two(_sub_rule(a, b), da, db, SLOPES)
            elif op == _MUL:
                acc, dacc = _along_two(_mul_rule(a, b), da, db, SLOPES)
            elif op == _DIV:
                acc, dacc = _along_two(_div_rule(a, b), da, db, SLOPES)
            elif op == _NEG:
                acc, dacc = _along(_neg_rule(a), da, SLOPES)
            elif op == _ABS:
                acc, dacc = _along(_abs_rule(a), da, SLOPES)
            elif op == _SQUARE:
                acc, dacc = _along(_square_rule(a), da, SLOPES)
            elif op == _CUBE:
                acc, dacc = _along(_cube_rule(a), da, SLOPES)
            elif op == _SQRT:
                acc, dacc = _along(_sqrt_rule(a), da, SLOPES)
            elif op == _EXP:
                acc, dacc = _along(_exp_rule(a), da, SLOPES)
            elif op == _LOG:
                acc, dacc = _along(_log_rule(a), da, SLOPES)
            elif op == _LOG1P:
                acc, dacc = _along(_log1p_rule(a), da, SLOPES)
            elif op == _SIN:
                acc, dacc = _along(_sin_rule(a), da, SLOPES)
            elif op == _COS:
                acc, dacc = _along(_cos_rule(a), da, SLOPES)
            elif op == _SINC:
                acc, dacc = _along(_sinc_rule(a), da, SLOPES)
            elif op == _TANH:
                acc, dacc = _along(_tanh_rule(a), da, SLOPES)
            elif op == _ATAN:
                acc, dacc = _along(_atan_rule(a), da, SLOPES)
            elif op == _ASINH:
                acc, dacc = _along(_asinh_rule(a), da, SLOPES)
            elif op == _ERF:
                acc, dacc = _along(_erf_rule(a), da, SLOPES)
            elif op == _SIGMOID:
                acc, dacc = _along(_sigmoid_rule(a), da, SLOPES)
            elif op == _SOFTPLUS:
                acc, dacc = _along(_softplus_rule(a), da, SLOPES)
            elif op == _SOFTSIGN:
                acc, dacc = _along(_softsign_rule(a), da, SLOPES)
            elif op == _RELU:
                acc, dacc = _along(_relu_rule(a), da, SLOPES)
            elif op == _GELU:
                acc, dacc = _along(_gelu_rule(a), da, SLOPES)
            elif op == _SILU:
                acc, dacc = _along(_silu_rule(a), da, SLOPES)
            elif op == _GAUSSIAN:
                acc, dacc = _along(_gaussian_rule(a), da, SLOPES)
            elif op == _SIGN:
                acc, dacc = _along(_sign_rule(a), da, SLOPES)
            elif op == _MIN:
                acc, dacc = _along_two(_min_rule(a, b), da, db, SLOPES)
            elif op == _MAX:
                acc, dacc = _along_two(_max_rule(a, b), da, db, SLOPES)
            elif op == _LT:
                acc, dacc = _along_two(_lt_rule(a, b), da, db, SLOPES)
            elif op == _LE:
                acc, dacc = _along_two(_le_rule(a, b), da, db, SLOPES)
            elif op == _GT:
                acc, dacc = _along_two(_gt_rule(a, b), da, db, SLOPES)
            elif op == _GE:
                acc, dacc = _along_two(_ge_rule(a, b), da, db, SLOPES)
            elif op == _WHERE:
                c, dc = acc, dacc
                place_c = tl.load(word + 4)
                if place_c != _ACCUMULATOR:
                    c, dc = _fetch(place_c, x, values, tangents, constants, rows, SLOPES)
                acc = tl.where(a != 0.0, b, c)
                dacc = tl.where(a != 0.0, db, dc)
            if slot >= _SLOTS:
                # Which thread holds which point is the compiler's choice at each access: all
                # threads wait until the old row is read and until the new one stands.
                row = rows + (slot - _SLOTS) * (2 * _BLOCK) + tl.arange(0, _BLOCK)
                tl.debug_barrier()
                tl.store(row, acc)
                if SLOPES:
                    tl.store(row + _BLOCK, dacc)
                tl.debug_barrier()
            elif slot >= 0:
                values = _put(values, slot, acc)
                if SLOPES:
                    tangents = _put(tangents, slot, dacc)
            step += 1
        if result < 0:
            acc, dacc = _fetch(result, x, values, tangents, constants, rows, SLOPES)
        tl.store(value_out + base + offsets, acc, mask=inside)
        if SLOPES:
            tl.store(slope_out + base + offsets, dacc, mask=inside)
        tile += tl.num_programs(0)


def encode(program: Program, first_constant: int = 0) -> tuple[NDArray[np.int32], int, int]:
    """Turn a program into code for the accumulator.

    Args:
        program: With one input and without batch statistics.
        first_constant: Where its constants begin among those of all programs.

    Returns:
        int32 [instruction, 5]: opcode, the slot that keeps the result beside the accumulator or
        -1, and the places of three operands; the place of the result; how many slots it takes.
    """
    constants = len(program.constants)
    maker: dict[int, int] = {}  # of a register's present value: the instruction
    reads: list[list[int | None]] = []  # for each operand its maker, None for x and constants
    last_read: dict[int, int] = {}
    code = program.code.tolist()
    for step, (op, target, *operands) in enumerate(code):
        reads.append([maker.get(register) for register in operands[: BY_OPCODE[op].arity]])
        last_read.update({made: step for made in reads[-1] if made is not None})
        maker[target] = step
    words = np.full((len(code), 5), ACCUMULATOR, dtype=np.int32)
    slot_of: dict[int, int] = {}
    free: list[int] = []
    slots = 0
    for step, (op, _, *operands) in enumerate(code):
        words[step, :2] = op, NOWHERE
        for column, made in enumerate(reads[step], 2):
            register = operands[column - 2]
            if made is None:
                # Without a maker it is x or a constant.
                words[step, column] = X if register == 0 else -first_constant - register
            elif made != step - 1:
                words[step, column] = FIRST_SLOT + slot_of[made]
        # Operands are read before the result is kept, which may take their place.
        ended = {made for made in reads[step] if made in slot_of and last_read[made] == step}
        free += sorted((slot_of.pop(made) for made in ended), reverse=True)
        if last_read.get(step, step) > step + 1:
            slots += not free
            words[step, 1] = slot_of[step] = free.pop() if free else slots - 1
    result = program.result
    is_constant = 1 <= result <= constants
    return words, -first_constant - result if is_constant else ACCUMULATOR, slots


class Programs:
    """The programs of a stack on its device, ready for :func:`apply`.

    Args:
        spans: ``(program, first network, last network)``, one after another from network 0 on.
        device: Where the stack stands.

    Raises:
        ValueError: A program has batch statistics, which need the whole tensor at once, or
            several inputs; or the spans leave a gap.
    """

    def __init__(
        self, spans: Sequence[tuple[Program, int, int]], device: torch.device | str
    ) -> None:
        words, constants = [np.empty((0, 5), np.int32)], [np.empty(0)]
        rows: list[tuple[int, int, int]] = []
        first_code, first_constant, slots, self.networks = 0, 0, 0, 0
        for program, first, last in spans:
            if program.statistics:
                raise ValueError("batch statistics need the whole tensor at once")
            if len(program.inputs) != 1:
                names = ", ".join(program.inputs)
                raise ValueError(f"the Triton interpreter takes one input, got {names}")
            if first != self.networks or last < first:
                raise ValueError(f"networks {first} to {last} do not follow {self.networks}")
            own, result, own_slots = encode(program, first_constant)
            rows += [(first_code, first_code + len(own), result)] * (last - first)
            words.append(own)
            constants.append(program.constants)
            first_code += len(own)
            first_constant += len(program.constants)
            slots, self.networks = max(slots, own_slots), last

        def upload(array: NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.code = upload(np.concatenate(words))
        self.spans = upload(np.array(rows, dtype=np.int32).reshape(-1, 3))
        with np.errstate(over="ignore"):
            self.constants = upload(np.concatenate(constants).astype(np.float32))
        #: Pairs of rows that each thread block has in memory.
        self.own_rows = max(0, slots - SLOTS)
        room = max(1, WORKERS * self.own_rows * 2 * BLOCK)
        self.scratch = torch.empty(room, dtype=torch.float32, device=device)


def apply(
    programs: Programs, z: torch.Tensor, value: torch.Tensor, slope: torch.Tensor | None
) -> None:
    """Apply every network's program to its part of ``z``.

    Nothing is allocated and nobody waits, so that a CUDA graph can capture it, after a first call
    that loads the kernel. Kernels differ by whether slopes are wanted and whether a network's
    points are a multiple of 16.

    Args:
        programs: Of as many networks.
        z: float32 [network, unit, point], contiguous.
        value: Takes the values; of z's shape, contiguous; may be z.
        slope: Takes the derivatives, None if they are not wanted.
    """
    out = value if slope is None else slope
    for tensor in (z, value, out):
        if not tensor.is_contiguous() or tensor.dtype != torch.float32:
            raise ValueError("the interpreter takes contiguous tensors of float32")
    if not z.shape == value.shape == out.shape or z.shape[0] != programs.networks:
        raise ValueError("z, its values and slopes must have one shape, with every network")
    if z.numel() == 0:
        return
    size = z.numel() // programs.networks
    blocks = programs.networks * -(-size // BLOCK)
    _interpret[(min(blocks, WORKERS) if programs.own_rows else blocks,)](
        z,
        value,
        out,
        programs.code,
        programs.spans,
        programs.constants,
        programs.scratch,
        programs.networks,
        size,
        programs.own_rows,
        SLOPES=slope is not None,
        num_warps=WARPS,
    )

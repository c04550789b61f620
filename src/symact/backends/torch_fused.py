"""A found function over a large tensor: one pass through memory forward, one backward.

The interpreter keeps a chunk of the tensor in the L1 cache from the first instruction to the last,
so that a formula of any length reads its input once and writes its result once. Backward it
computes the derivative anew from the input, the only thing that is kept, and multiplies it by the
gradient in the same pass. Threads share the tensor. bfloat16 is read and written as the upper half
of float32, in which everything is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from symact.backends.numba import tape
from symact.backends.numba.caching import cached
from symact.backends.numba.intrinsics import bits_float, float_bits, select
from symact.expr import Expr

compiled = njit(error_model="numpy")

#: A tensor smaller than this is not worth another thread.
SHARE = 2**15


def _load(row, x):
    raise RuntimeError("compiled code only")


def _store(out, row):
    raise RuntimeError("compiled code only")


def _store_product(out, row, factor):
    raise RuntimeError("compiled code only")


@compiled
def _widened(half):
    """A bfloat16, given as int16, in float32."""
    return bits_float(np.int32(np.int32(half) << np.int32(16)))


@compiled
def _narrowed(x):
    """A float32 as bfloat16, rounded to nearest, ties to even; NaN stays one."""
    bits = float_bits(x)
    odd = np.int32((bits >> np.int32(16)) & np.int32(1))
    rounded = np.int32(bits + np.int32(0x7FFF) + odd) >> np.int32(16)
    return np.int16(select(x == x, np.int32(rounded), np.int32(0x7FC0)))


@overload(_load)
def _load_of(row, x):
    if x.dtype == types.int16:

        def widen(row, x):
            for i in range(x.size):
                row[i] = _widened(x[i])

        return widen

    def copy(row, x):
        for i in range(x.size):
            row[i] = x[i]

    return copy


@overload(_store)
def _store_of(out, row):
    if out.dtype == types.int16:

        def narrow(out, row):
            for i in range(out.size):
                out[i] = _narrowed(row[i])

        return narrow

    def copy(out, row):
        for i in range(out.size):
            out[i] = row[i]

    return copy


@overload(_store_product)
def _store_product_of(out, row, factor):
    if out.dtype == types.int16:

        def narrow(out, row, factor):
            for i in range(out.size):
                out[i] = _narrowed(row[i] * _widened(factor[i]))

        return narrow

    def multiply(out, row, factor):
        for i in range(out.size):
            out[i] = row[i] * factor[i]

    return multiply


@cached
def _pass(address, code, constants, registers, result, x, gradient, out, w):
    """Write f(x) to ``out``, or where ``gradient`` is not empty gradient * f'(x)."""
    dual = gradient.size > 0
    v = np.empty(registers, dtype=np.intp)
    t = np.empty(registers if dual else 0, dtype=np.intp)
    tape.lay_out(1, 0, constants, w, 0, tape.CHUNK, v, t)
    stride = tape.CHUNK * tape.BLOCK
    for start in range(0, x.size, stride):
        end = min(start + stride, x.size)
        n = end - start
        _load(w[v[0] * tape.BLOCK :], x[start:end])
        tape.run(address, code, w, v, t, -(-n // tape.BLOCK))
        if dual:
            tangents = w[t[result] * tape.BLOCK :]
            _store_product(out[start:end], tangents, gradient[start:end])
        else:
            _store(out[start:end], w[v[result] * tape.BLOCK :])


def stream(
    expr: Expr,
    x: NDArray[Any],
    gradient: NDArray[Any] | None,
    out: NDArray[Any],
    threads: int,
) -> None:
    """Apply a function, or multiply a gradient by its derivative, in one pass through memory.

    Args:
        expr: A function of x without batch statistics.
        x: Flat; float32, float64, or int16 for the bits of bfloat16.
        gradient: As x, or None to compute values.
        out: As x; takes the result.
        threads: How many share the work; the result does not depend on it.
    """
    program = tape.to_tape(expr)
    dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    address, constants = tape.interpreter(dtype), program.constants.astype(dtype)
    none = x[:0]

    def work(first: int, last: int) -> None:
        _pass(
            address,
            program.code,
            constants,
            program.registers,
            program.result,
            x[first:last],
            none if gradient is None else gradient[first:last],
            out[first:last],
            tape.workspace(tape.rows_needed(program), dtype),
        )

    parts = max(1, min(threads, x.size // SHARE))
    if parts == 1:
        work(0, x.size)
        return
    bounds = [x.size * part // parts for part in range(parts + 1)]
    jobs = [tape.pool(threads).submit(work, *bounds[part : part + 2]) for part in range(1, parts)]
    work(0, bounds[1])
    for job in jobs:
        job.result()

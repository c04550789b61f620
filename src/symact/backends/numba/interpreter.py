"""The interpreter of programs, compiled once for each dtype."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import njit, types

from symact.backends.numba.caching import cached_callback
from symact.backends.numba.intrinsics import call_address, wide_vectors
from symact.backends.numba.kernels import instruction
from symact.backends.numba.loops import BLOCK
from symact.expr.primitives import PRIMITIVES

compiled = njit(error_model="numpy")

MEAN, STD = PRIMITIVES["mean"].opcode, PRIMITIVES["std"].opcode


@compiled
def _mean(w, v, t, d, a, n):
    x, value = w[v[a] * BLOCK :], w[v[d] * BLOCK :]
    dx, tangent = w[t[a] * BLOCK :], w[t[d] * BLOCK :]
    total, slope = 0.0, 0.0
    for i in range(n):
        total += x[i]
        slope += dx[i]
    for i in range(n):
        value[i] = total / n
        tangent[i] = slope / n


@compiled
def _std(w, v, t, d, a, n):
    x, value = w[v[a] * BLOCK :], w[v[d] * BLOCK :]
    dx, tangent = w[t[a] * BLOCK :], w[t[d] * BLOCK :]
    total, slope = 0.0, 0.0
    for i in range(n):
        total += x[i]
        slope += dx[i]
    mean, slope_of_mean = total / n, slope / n
    squares, products = 0.0, 0.0
    for i in range(n):
        centred = x[i] - mean
        squares += centred * centred
        products += centred * (dx[i] - slope_of_mean)
    deviation = np.sqrt(squares / n)
    for i in range(n):
        value[i] = deviation
        tangent[i] = products / n / deviation


def _run_pointers(code, count, w, v, t, dual, blocks):
    """Run a program; see :func:`run`. All arrays are pointers, as the loops require."""
    wide_vectors()
    for step in range(0, 5 * count, 5):
        op, d, a = code[step], np.uint32(code[step + 1]), np.uint32(code[step + 2])
        b, c = np.uint32(code[step + 3]), np.uint32(code[step + 4])
        instruction(op, w, v, t, dual, blocks, d, a, b, c)


#: Compiled interpreters. They must stay alive while their addresses are used.
_INTERPRETERS: list[Any] = []


@lru_cache(maxsize=2)
def interpreter(dtype: np.dtype[Any]) -> int:
    """Return the address of the interpreter for float32 or float64.

    It is compiled once for each dtype, in some seconds, and cached on disk. Callers use its
    address. A direct call would compile it again in each caller.
    """
    real, whole, rows = (
        types.CPointer(numba.from_dtype(dtype)),
        types.intp,
        types.CPointer(types.intp),
    )
    code = types.CPointer(types.int32)
    signature = types.void(code, whole, real, rows, rows, whole, whole)
    callback = cached_callback(signature, _run_pointers)
    _INTERPRETERS.append(callback)
    return int(callback.address)


@compiled
def run(address, code, w, v, t, blocks):
    """Run a program without statistics on some blocks, by the interpreter at ``address``.

    Args:
        address: From :func:`interpreter`, for the dtype of ``w``.
        code: int32 [instruction, 5].
        w: The flat workspace. Row r has the ``BLOCK`` numbers from index ``r * BLOCK``.
        v: intp [register]: the first row of the values of each register.
        t: intp [register]: the first row of the tangents, or empty.
        blocks: The number of blocks, and of rows for each register.
    """
    whole = np.intp
    numbers = (
        whole(code.ctypes.data),
        whole(code.shape[0]),
        whole(w.ctypes.data),
        whole(v.ctypes.data),
        whole(t.ctypes.data),
        whole(t.size),
        whole(blocks),
    )
    call_address(whole(address), numbers)


@compiled
def run_whole(address, code, w, v, t, blocks, n):
    """Run a program with statistics on ``n`` points. Every register has ``blocks`` rows.

    The tangents of statistics are always computed, so ``t`` must not be empty.
    """
    for step in range(code.shape[0]):
        op, d, a = code[step, 0], code[step, 1], code[step, 2]
        if op == MEAN:
            _mean(w, v, t, d, a, n)
        elif op == STD:
            _std(w, v, t, d, a, n)
        else:
            run(address, code[step : step + 1], w, v, t, blocks)

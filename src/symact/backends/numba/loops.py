"""Loops of the interpreter: one instruction applied to some blocks of points.

``w`` is the workspace, flat: row r is its :data:`BLOCK` numbers from ``r * BLOCK`` on. ``v`` holds
the first row of each register's values, and ``t`` that of its tangents, or nothing. ``d`` is the
register of the result; ``a``, ``b`` and ``c`` are those of the arguments.
"""

from __future__ import annotations

from numba import njit

from symact.backends.numba.intrinsics import for_each, select

compiled = njit(error_model="numpy")

#: The number of points of a block. A row is then 1 KB in float32: ten registers of two blocks, with
#: tangents, about fill an L1 cache of 32 KB.
BLOCK = 256


@compiled
def one(rule, w, v, t, blocks, d, a):
    """Apply a rule of one argument."""
    if t.size == 0:
        for_each(BLOCK, blocks, rule, w, (v[d],), (v[a],))
    else:
        for_each(BLOCK, blocks, rule, w, (v[d], t[d]), (v[a], t[a]))


@compiled
def two(rule, w, v, t, blocks, d, a, b):
    """Apply a rule of two arguments."""
    if t.size == 0:
        for_each(BLOCK, blocks, rule, w, (v[d],), (v[a], v[b]))
    else:
        for_each(BLOCK, blocks, rule, w, (v[d], t[d]), (v[a], v[b], t[a], t[b]))


@compiled
def where(w, v, t, blocks, d, a, b, c):
    """Choose between two arguments; the tangent is that of the chosen one."""
    size = blocks * BLOCK
    value, test = w[v[d] * BLOCK :][:size], w[v[a] * BLOCK :][:size]
    x, y = w[v[b] * BLOCK :][:size], w[v[c] * BLOCK :][:size]
    for i in range(size):
        value[i] = select(test[i] != 0, x[i], y[i])
    if t.size:
        tangent = w[t[d] * BLOCK :][:size]
        dx, dy = w[t[b] * BLOCK :][:size], w[t[c] * BLOCK :][:size]
        for i in range(size):
            tangent[i] = select(test[i] != 0, dx[i], dy[i])

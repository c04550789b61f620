"""Loops of the interpreter: apply one instruction to some blocks of points.

``w`` is the flat workspace. Row r has the :data:`BLOCK` numbers from index ``r * BLOCK``. ``v`` has
the first row of the values of each register, ``t`` the first row of its tangents. ``t`` is empty if
no tangents are computed. ``d`` is the register of the result; ``a``, ``b`` and ``c`` are those of
the arguments.
"""

from __future__ import annotations

from numba import njit

from symact.backends.numba.intrinsics import for_each, select

compiled = njit(error_model="numpy")

#: The number of points of a block. In float32 a row has 1 KB. Ten registers of two blocks with
#: tangents about fill an L1 cache of 32 KB.
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
    """Select one of two arguments and its tangent."""
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

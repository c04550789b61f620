"""Loops of the interpreter: apply one instruction to some blocks of points.

``w`` points to the workspace. Row r has the :data:`BLOCK` numbers from index ``r * BLOCK``. ``v``
points to the first row of the values of each register, ``t`` to the first row of its tangents.
``dual`` says whether tangents are computed; if not, ``t`` is not read. ``d`` is the register of the
result; ``a``, ``b`` and ``c`` are those of the arguments.

The arguments are pointers. numba counts references of arrays, at each instruction, by calls that
take longer than an addition of two rows.
"""

from __future__ import annotations

from numba import njit

from symact.backends.numba.intrinsics import for_each, select
from symact.backends.numba.single import compiled as compiled_rule

compiled = njit(error_model="numpy")

#: The number of points of a block. In float32 a row has 1 KB. Ten registers of two blocks with
#: tangents about fill an L1 cache of 32 KB.
BLOCK = 256


@compiled
def one(rule, w, v, t, dual, blocks, d, a):
    """Apply a rule of one argument."""
    if dual:
        for_each(BLOCK, blocks, rule, w, (v[d], t[d]), (v[a], t[a]))
    else:
        for_each(BLOCK, blocks, rule, w, (v[d],), (v[a],))


@compiled
def two(rule, w, v, t, dual, blocks, d, a, b):
    """Apply a rule of two arguments."""
    if dual:
        for_each(BLOCK, blocks, rule, w, (v[d], t[d]), (v[a], v[b], t[a], t[b]))
    else:
        for_each(BLOCK, blocks, rule, w, (v[d],), (v[a], v[b]))


@compiled_rule
def _chosen(test, x, y):
    return (select(test != 0, x, y),)


@compiled
def where(w, v, t, dual, blocks, d, a, b, c):
    """Select one of two arguments and its tangent."""
    for_each(BLOCK, blocks, _chosen, w, (v[d],), (v[a], v[b], v[c]))
    if dual:
        for_each(BLOCK, blocks, _chosen, w, (t[d],), (v[a], t[b], t[c]))

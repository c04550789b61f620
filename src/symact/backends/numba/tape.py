"""Evaluation of programs by the compiled interpreter.

Compiling a candidate takes 60 to 90 ms. A program (:mod:`symact.backends.numba.program`) is data
and needs no compilation. One interpreter (:mod:`symact.backends.numba.interpreter`) runs all
programs, block by block. A register is a row of :data:`BLOCK` points. The state therefore fits the
L1 cache, and each instruction is one SIMD loop. For derivatives the interpreter computes dual
numbers: values and tangents. The tangent of one input is 1, the tangents of the other inputs are 0.

A program with batch statistics processes the whole tensor as one block. Its tangent is the
Jacobian-vector product with a vector of ones. Training needs a different gradient (see
:mod:`symact.evaluation.training.stack`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.backends.numba.caching import cached
from symact.backends.numba.interpreter import interpreter, run, run_whole
from symact.backends.numba.intrinsics import wide_vectors
from symact.backends.numba.loops import BLOCK
from symact.backends.numba.program import Program, to_tape
from symact.expr import Expr

__all__ = [
    "BLOCK",
    "CHUNK",
    "Batch",
    "Program",
    "Spans",
    "apply_into",
    "apply_rows",
    "evaluate",
    "interpreter",
    "lay_out",
    "pool",
    "rows_needed",
    "run",
    "to_batch",
    "to_tape",
    "workspace",
]

compiled = njit(error_model="numpy")

#: The number of blocks that an instruction processes at a time. Dispatching an instruction takes
#: less time than the cache misses of larger chunks.
CHUNK = 1


def rows_needed(program: Program, blocks: int = CHUNK) -> int:
    """Return the number of rows that :func:`lay_out` uses."""
    return (2 * program.registers + 1) * blocks


def workspace(rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a flat workspace of zeros. Rows are aligned to cache lines, as loads require."""
    line = 64
    room = np.zeros(rows * BLOCK * dtype.itemsize + line, dtype=np.uint8)
    start = -room.ctypes.data % line
    return room[start : start + rows * BLOCK * dtype.itemsize].view(dtype)


@compiled
def fill(w, first, blocks, number):
    """Fill some rows of the workspace with a number."""
    start = np.uint64(first * BLOCK)
    for i in range(np.uint64(blocks * BLOCK)):
        w[start + i] = number


@cached
def lay_out(inputs, seed, constants, w, first, blocks, v, t):
    """Assign rows to every register, from row ``first``, and fill the rows of the constants.

    Args:
        inputs: The number of inputs. Their rows follow those of the other registers. A caller may
            replace their entries in ``v``.
        seed: The register of the input or trained parameter with tangent 1.
        constants: The constants of the program, in the workspace's dtype.
        w: The workspace. :func:`rows_needed` rows are used.
        first: The first row to use.
        blocks: The number of rows of a register.
        v: Output, the first row of the values of each register.
        t: Output, the first row of the tangents of each register; empty for none.
    """
    registers, fixed = v.size, inputs + constants.size
    at = first
    if t.size:
        ones, zeros = first, first + blocks
        w[ones * BLOCK : zeros * BLOCK] = 1
        w[zeros * BLOCK : (zeros + blocks) * BLOCK] = 0
        at = zeros + blocks
        for r in range(registers):
            t[r] = ones if r == seed else zeros
            if r >= fixed:
                t[r] = at
                at += blocks
    for r in range(inputs, registers):
        v[r] = at
        at += blocks
        if r < fixed:
            fill(w, v[r], blocks, constants[r - inputs])
    for r in range(inputs):
        v[r] = at
        at += blocks


@compiled
def _copy(target, source):
    for i in range(target.size):
        target[i] = source[i]


@compiled
def apply_rows(address, code, result, w, v, t, x, value, tangent, blocks):
    """Evaluate a program of one input on ``blocks`` rows of the workspace, from row ``x``.

    Values are written from row ``value``. Tangents are written from row ``tangent``, unless ``t``
    is empty. The program has no statistics. Its registers have ``CHUNK`` rows each.
    """
    saved_value, saved_tangent = v[result], t[result] if t.size else 0
    for block in range(0, blocks, CHUNK):
        some = min(CHUNK, blocks - block)
        v[0] = x + block
        if code.shape[0]:
            v[result] = value + block
            if t.size:
                t[result] = tangent + block
            run(address, code, w, v, t, some)
        else:
            _copy_rows(w, value + block, v[result], some)
            if t.size:
                _copy_rows(w, tangent + block, t[result], some)
    v[result] = saved_value
    if t.size:
        t[result] = saved_tangent


@compiled
def _copy_rows(w, target, source, rows):
    size = rows * BLOCK
    _copy(w[target * BLOCK :][:size], w[source * BLOCK :][:size])


@cached
def _apply(address, code, constants, registers, result, x, seed, value, tangent, w, statistics):
    """Evaluate one program on the points of ``x`` [input, point].

    If ``tangent`` is empty, only values are computed.
    """
    inputs, points = x.shape
    blocks = max(1, -(-points // BLOCK)) if statistics else CHUNK
    # Statistics always read tangents.
    v = np.empty(registers, dtype=np.intp)
    t = np.empty(registers if statistics or tangent.size else 0, dtype=np.intp)
    lay_out(inputs, seed, constants, w, 0, blocks, v, t)
    stride = blocks * BLOCK
    for start in range(0, points, stride):
        n = min(stride, points - start)
        for i in range(inputs):
            source = v[i] * BLOCK
            _copy(w[source : source + n], x[i, start : start + n])
        if statistics:
            run_whole(address, code, w, v, t, blocks, n)
        else:
            run(address, code, w, v, t, -(-n // BLOCK))
        at = v[result] * BLOCK
        _copy(value[start : start + n], w[at : at + n])
        if tangent.size:
            at = t[result] * BLOCK
            _copy(tangent[start : start + n], w[at : at + n])


@cached
def _apply_many(address, code, constants, spans, x, seed, values, tangents, w, first, last):
    """Apply programs ``first`` to ``last``, without statistics, to the points of ``x``.

    ``x`` is [input, point]. ``spans`` is int64 [program, 6] as in :class:`Batch`. ``tangents`` has
    no rows if only values are computed.
    """
    wide_vectors()
    # The points are copied into the workspace once. The rows of the programs follow them.
    inputs, points = x.shape
    blocks = -(-points // BLOCK)
    for i in range(inputs):
        _copy(w[i * blocks * BLOCK :][:points], x[i])
    registers = spans[first:last, 4].max() if last > first else inputs
    rows = np.empty((2, registers), dtype=np.intp)
    v, t = rows[0], rows[1, : registers if tangents.size else 0]
    # All programs share one layout. A register of a constant has the tangent 0 in its program only.
    lay_out(inputs, seed, constants[:0], w, inputs * blocks, CHUNK, v, t)
    own_tangents, zeros = t.copy(), (inputs * blocks) + CHUNK
    for program in range(first, last):
        first_code, last_code, first_constant, last_constant, _, result = spans[program]
        for r in range(inputs, inputs + last_constant - first_constant):
            fill(w, v[r], CHUNK, constants[first_constant + r - inputs])
            if t.size:
                t[r] = zeros
        instructions = code[first_code:last_code]
        for block in range(0, blocks, CHUNK):
            for r in range(inputs):
                v[r] = r * blocks + block
            run(address, instructions, w, v, t, min(CHUNK, blocks - block))
            begin = block * BLOCK
            end = min(begin + CHUNK * BLOCK, points)
            at = v[result] * BLOCK
            _copy(values[program, begin:end], w[at : at + end - begin])
            if tangents.size:
                at = t[result] * BLOCK
                _copy(tangents[program, begin:end], w[at : at + end - begin])
        if t.size:
            for r in range(inputs, inputs + last_constant - first_constant):
                t[r] = own_tangents[r]


@cached
def _apply_spans(address, code, spans, v, t, w, x, value, tangent):
    """Apply each program to its rows. ``spans`` is as in :class:`Spans`; ``t`` may be empty."""
    for index in range(spans.shape[0]):
        first_code, last_code, registers, result, first, last = spans[index]
        apply_rows(
            address,
            code[first_code:last_code],
            result,
            w,
            v[index, :registers],
            t[index, : registers if t.shape[1] else 0],
            x + first,
            value + first,
            tangent + first,
            last - first,
        )


class Spans:
    """Programs without statistics, each applied repeatedly to its own rows of one workspace.

    Args:
        spans: For each program, its expression of x and its first and last row (exclusive) within
            a tensor.
        rows: The number of rows for tensors. :meth:`tensor` reserves them.
        dtype: float32 or float64.
    """

    def __init__(
        self, spans: Sequence[tuple[Expr, int, int]], rows: int, dtype: np.dtype[Any]
    ) -> None:
        programs = [to_tape(expr) for expr, _, _ in spans]
        batch = to_batch([expr for expr, _, _ in spans])
        own = sum(map(rows_needed, programs))
        self.w = workspace(own + rows, dtype)
        self._next = own
        most = max(program.registers for program in programs)
        self._v = np.zeros((len(spans), most), dtype=np.intp)
        self._t = np.zeros_like(self._v)
        at = 0
        for index, program in enumerate(programs):
            constants, count = program.constants.astype(dtype), program.registers
            rows_of = self._v[index, :count], self._t[index, :count]
            lay_out(1, 0, constants, self.w, at, CHUNK, *rows_of)
            at += rows_needed(program)
        limits = np.array([span[1:] for span in spans], dtype=np.int64)
        self._spans = np.concatenate([batch.spans[:, [0, 1, 4, 5]], limits], axis=1)
        self._code, self._address = batch.code, interpreter(dtype)

    def tensor(self, rows: int) -> int:
        """Reserve rows of zeros and return the first one."""
        first = self._next
        self._next += rows
        return first

    def apply(self, x: int, value: int, tangent: int | None) -> None:
        """Compute values and, unless ``tangent`` is None, derivatives of all spans.

        Args:
            x: The first row of the arguments.
            value: The first row of the values.
            tangent: The first row of the derivatives; None for values only.
        """
        t = self._t if tangent is not None else self._t[:, :0]
        _apply_spans(
            self._address, self._code, self._spans, self._v, t, self.w, x, value, tangent or 0
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Concatenated programs that one call evaluates on the same points.

    Attributes:
        code: int32 [instruction, 5] of all programs.
        constants: float64 [constant] of all programs.
        spans: int64 [program, 6]: first and last instruction, first and last constant, number of
            registers, register of the result. The last index is exclusive.
        inputs: The names of the inputs of all programs.
        rows: The number of workspace rows of the largest program for one block.
    """

    code: NDArray[np.int32]
    constants: NDArray[np.float64]
    spans: NDArray[np.int64]
    inputs: tuple[str, ...]
    rows: int

    def evaluate(
        self,
        *arrays: NDArray[Any],
        slopes: bool = False,
        wrt: str | None = None,
        threads: int | None = None,
        out: tuple[NDArray[Any], NDArray[Any] | None] | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Evaluate every program on the same points.

        Args:
            arrays: One array for each input, float32 or float64 [point]. Arrays of other shapes are
                broadcast and flattened.
            slopes: Whether to compute derivatives too.
            wrt: The input with respect to which to differentiate; None for the first.
            threads: The number of threads; None for the number of cores. The result does not
                depend on it.
            out: The result of an earlier call with the same number of points, to overwrite.

        Returns:
            Values [program, point] in the dtype of the arrays, and derivatives or None.

        Raises:
            ValueError: The number of arrays, a dtype or ``wrt`` is wrong.
        """
        x, _ = _points_of(arrays, self.inputs)
        seed = _seed_of(wrt, self.inputs)
        count, points = len(self.spans), x.shape[1]
        values = np.empty((count, points), dtype=x.dtype) if out is None else out[0]
        tangents = None if out is None else out[1]
        if tangents is None:
            tangents = np.empty((count if slopes else 0, points), dtype=x.dtype)
        workers = max(1, min(threads or os.cpu_count() or 1, count))
        bounds = np.linspace(0, count, workers + 1).astype(int)
        address, constants = interpreter(x.dtype), self.constants.astype(x.dtype)
        rows = len(x) * -(-points // BLOCK) + self.rows * CHUNK

        def work(part: int) -> None:
            _apply_many(
                address,
                self.code,
                constants,
                self.spans,
                x,
                seed,
                values,
                tangents,
                workspace(rows, x.dtype),
                bounds[part],
                bounds[part + 1],
            )

        others = [pool(workers - 1).submit(work, part) for part in range(1, workers)]
        work(0)
        for other in others:
            other.result()
        return values, tangents if slopes else None


@lru_cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool of threads. It is reused, because starting threads is slow."""
    return ThreadPoolExecutor(threads, thread_name_prefix="symact")


if hasattr(os, "register_at_fork"):
    # A forked process inherits the pool without its threads and would wait forever.
    os.register_at_fork(after_in_child=pool.cache_clear)


def _points_of(
    arrays: Sequence[Any], inputs: tuple[str, ...]
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return contiguous points [input, point] of some arrays, and their broadcast shape."""
    if len(arrays) != len(inputs):
        names = ", ".join(inputs)
        raise ValueError(f"got {len(arrays)} arrays for {len(inputs)} inputs ({names})")
    if len(arrays) == 1:
        points = np.asarray(arrays[0], order="C")[None]
    else:
        # A Python number takes the dtype of the arrays.
        known = [a if isinstance(a, int | float) else np.asarray(a) for a in arrays]
        shape = np.broadcast_shapes(*map(np.shape, known))
        points = np.empty((len(known), *shape), np.result_type(*known))
        for place, values in enumerate(known):
            points[place] = values
    if points.dtype not in (np.float32, np.float64):
        raise ValueError(f"expected float32 or float64 arrays, got {points.dtype}")
    return points.reshape(len(points), -1), points.shape[1:]


def _seed_of(wrt: str | None, inputs: tuple[str, ...]) -> int:
    """Return the register of the input with respect to which to differentiate."""
    if wrt is None:
        return 0
    if wrt not in inputs:
        raise ValueError(f"unknown input '{wrt}'; the inputs are {', '.join(inputs)}")
    return inputs.index(wrt)


def to_batch(exprs: Sequence[Expr], inputs: tuple[str, ...] = ("x",)) -> Batch:
    """Concatenate the programs of some expressions of the same inputs.

    Raises:
        ValueError: An expression has another variable or batch statistics.
    """
    programs = [to_tape(expr, inputs) for expr in exprs]
    if any(program.statistics for program in programs):
        raise ValueError("a batch cannot contain batch statistics")
    code_ends = np.cumsum([0, *(len(p.code) for p in programs)])
    constant_ends = np.cumsum([0, *(len(p.constants) for p in programs)])
    spans = [
        code_ends[:-1],
        code_ends[1:],
        constant_ends[:-1],
        constant_ends[1:],
        [p.registers for p in programs],
        [p.result for p in programs],
    ]
    return Batch(
        np.concatenate([np.empty((0, 5), np.int32), *(p.code for p in programs)]),
        np.concatenate([np.empty(0), *(p.constants for p in programs)]),
        np.array(spans, dtype=np.int64).T.copy(),
        inputs,
        max((rows_needed(program, 1) for program in programs), default=1),
    )


def apply_into(
    expr: Expr, x: NDArray[Any], value: NDArray[Any], slope: NDArray[Any] | None
) -> None:
    """Evaluate an expression of x on a contiguous array, into arrays of its shape and dtype.

    Args:
        expr: An expression of the variable x.
        x: float32 or float64. Batch statistics are over the whole array.
        value: Output, the values.
        slope: Output, the derivatives; None for values only.
    """
    points, _ = _points_of((x,), ("x",))
    _apply_to(to_tape(expr), points, 0, value, slope)


def _apply_to(
    program: Program,
    points: NDArray[Any],
    seed: int,
    value: NDArray[Any],
    slope: NDArray[Any] | None,
) -> None:
    """Evaluate a program on ``points`` [input, point]."""
    blocks = max(1, -(-points.shape[1] // BLOCK)) if program.statistics else CHUNK
    _apply(
        interpreter(points.dtype),
        program.code,
        program.constants.astype(points.dtype),
        program.registers,
        program.result,
        points,
        seed,
        value.reshape(-1),
        np.empty(0, dtype=points.dtype) if slope is None else slope.reshape(-1),
        workspace(rows_needed(program, blocks), points.dtype),
        program.statistics,
    )


def evaluate(
    expr: Expr,
    *arrays: Any,
    inputs: tuple[str, ...] = ("x",),
    slopes: bool = False,
    wrt: str | None = None,
) -> Any:
    """Evaluate an expression on arrays.

    Args:
        expr: An expression of the variables ``inputs``.
        arrays: One array for each input, float32 or float64. The arrays must broadcast. Batch
            statistics are over all points. A parameter is an input with one value.
        inputs: The names of the inputs.
        slopes: Whether to return the derivatives too.
        wrt: The input with respect to which to differentiate; None for the first.

    Returns:
        Values of the broadcast shape and common dtype, or ``(values, slopes)``.

    Raises:
        ValueError: The number of arrays, a dtype or ``wrt`` is wrong, or the expression has another
            variable.
    """
    program = to_tape(expr, inputs)
    points, shape = _points_of(arrays, inputs)
    value = np.empty(shape, points.dtype)
    slope = np.empty_like(value) if slopes else None
    _apply_to(program, points, _seed_of(wrt, inputs), value, slope)
    return (value, slope) if slopes else value

"""One compiled loop for one expression: values, or a gradient times the derivative.

The interpreter of :mod:`symact.backends.numba.tape` keeps intermediate results in the L1 cache.
This module compiles an expression into one loop that keeps them in CPU registers. Compilation takes
0.1 to 0.5 s for each loop, and up to 2 s for the first loop of a process. It is therefore used for
single functions, not for the candidates of a search. No C compiler is needed.

The loop reads each input once and writes each result once. bfloat16 is converted to float32 for the
computation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from symact.backends.numba.intrinsics import (
    Touch,
    bits_float,
    emit_loop,
    emit_tangent,
    float_bits,
    select,
)
from symact.backends.numba.kernels import RULES
from symact.backends.numba.single import compiled
from symact.backends.numba.tape import pool
from symact.expr import Expr, distinct
from symact.expr.primitives import CONST, VAR

#: The number of elements of one step of the compiled loop. Every loop has whole steps only, so the
#: result at an element does not depend on its position.
STEP = 256

#: The smallest number of elements for an additional thread.
SHARE = 2**16

#: The type of the computation for each type in memory. int16 holds the bits of bfloat16.
_COMPUTED: dict[Any, Any] = {
    types.float32: types.float32,
    types.float64: types.float64,
    types.int16: types.float32,
}


@compiled
def _widened(half):
    """Return a bfloat16, given as int16, in float32."""
    return bits_float(np.int32(np.int32(half) << np.int32(16)))


@compiled
def _narrowed(x):
    """Return a float32 as bfloat16, rounded to nearest, ties to even. NaN stays NaN."""
    bits = float_bits(x)
    odd = np.int32((bits >> np.int32(16)) & np.int32(1))
    rounded = np.int32(bits + np.int32(0x7FFF) + odd) >> np.int32(16)
    return np.int16(select(x == x, np.int32(rounded), np.int32(0x7FC0)))


class _Emitter:
    """Emits the instructions of one element, at the position of an LLVM builder.

    Args:
        context: numba's target context.
        builder: LLVM's instruction builder.
        real: The type that is computed in, float32 or float64.
    """

    def __init__(self, context: Any, builder: Any, real: Any) -> None:
        self._context, self._builder, self._real = context, builder, real
        self._type = context.get_value_type(real)

    def constant(self, value: float) -> Any:
        single = self._real == types.float32
        with np.errstate(over="ignore"):
            return ir.Constant(self._type, float(np.float32(value)) if single else value)

    def call(self, rule: Any, kinds: tuple[Any, ...], args: list[Any]) -> Any:
        """Emit a call of a compiled function. LLVM inlines it."""
        compiled_rule = rule.overloads[kinds]
        self._context.active_code_library.add_linking_library(compiled_rule.library)
        call = self._context.call_internal_no_propagate
        return call(self._builder, compiled_rule.fndesc, compiled_rule.signature, args)[1]

    def apply(self, expr: Expr, x: Any) -> tuple[Any, Any | None]:
        """Return the value and the derivative at x. None stands for the derivative 0."""
        done: dict[Expr, tuple[Any, Any | None]] = {}
        for node in distinct(expr):
            if node.op == VAR:
                done[node] = x, self.constant(1.0)
            elif node.op == CONST:
                done[node] = self.constant(node.number), None
            else:
                values, slopes = zip(*(done[arg] for arg in node.args), strict=True)
                step = self._where if node.op == "where" else self._rule
                done[node] = step(node.op, list(values), slopes)
        return done[expr]

    def _where(self, op: str, values: list[Any], slopes: tuple[Any, ...]) -> tuple[Any, Any]:
        zero, choose = self.constant(0.0), self._builder.select
        test = self._builder.fcmp_unordered("!=", values[0], zero)
        known = [zero if slope is None else slope for slope in slopes[1:]]
        return choose(test, *values[1:]), choose(test, *known)

    def _rule(self, op: str, values: list[Any], slopes: tuple[Any, ...]) -> tuple[Any, Any]:
        builder = self._builder
        found = self.call(RULES[op], (self._real,) * len(values), values)
        known = {index: slope for index, slope in enumerate(slopes, 1) if slope is not None}
        partials = [builder.extract_value(found, index) for index in known]
        return builder.extract_value(found, 0), emit_tangent(builder, partials, [*known.values()])


def _loop_of(expr: Expr, by_derivative: bool) -> Any:
    """Return the intrinsic ``loop(x, factor, out, steps)`` of an expression."""

    def typed(typingctx: Any, x: Any, factor: Any, out: Any, steps: Any) -> Any:
        memory = x.dtype
        real = _COMPUTED[memory]
        for node in distinct(expr):
            if node.op in RULES:
                kinds = (real,) * len(node.args)
                types.Dispatcher(RULES[node.op]).get_call_type(typingctx, kinds, {})
        if memory == types.int16:
            types.Dispatcher(_widened).get_call_type(typingctx, (types.int16,), {})
            types.Dispatcher(_narrowed).get_call_type(typingctx, (types.float32,), {})

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = _Emitter(context, builder, real)
            data = [
                context.make_array(kind)(context, builder, array).data
                for kind, array in zip((x, factor, out), args[:3], strict=True)
            ]

            def element(index: Any, touch: Touch) -> None:
                def load(operand: int) -> Any:
                    number = touch(builder.load(builder.gep(data[operand], [index])))
                    if memory == types.int16:
                        number = emit.call(_widened, (types.int16,), [number])
                    return number

                result, slope = emit.apply(expr, load(0))
                if by_derivative:
                    known = emit.constant(0.0) if slope is None else slope
                    result = builder.fmul(known, load(1))
                if memory == types.int16:
                    result = emit.call(_narrowed, (types.float32,), [result])
                touch(builder.store(result, builder.gep(data[2], [index])))

            emit_loop(builder, builder.mul(args[3], args[3].type(STEP)), element)
            return context.get_dummy_value()

        return types.void(x, factor, out, steps), codegen

    return intrinsic(typed)


@lru_cache(maxsize=512)
def _kernel(expr: Expr, memory: np.dtype[Any], by_derivative: bool) -> Any:
    """Compile an expression for one type of memory."""
    loop = _loop_of(expr, by_derivative)

    def run(x, factor, out, steps):
        loop(x, factor, out, steps)

    array = types.Array(getattr(types, memory.name), 1, "C")
    signature = types.void(array, array, array, types.intp)
    return njit(signature, nogil=True, error_model="numpy")(run)


def _apply_rest(kernel: Any, x: NDArray[Any], factor: NDArray[Any], out: NDArray[Any]) -> None:
    """Apply a kernel to fewer elements than a step, with arrays padded to one step."""
    rooms = np.zeros((3, STEP), dtype=x.dtype)
    rooms[0, : x.size], rooms[1, : x.size] = x, factor
    kernel(*rooms, 1)
    out[:] = rooms[2, : x.size]


def apply_fused(
    expr: Expr,
    x: NDArray[Any],
    gradient: NDArray[Any] | None,
    out: NDArray[Any],
    threads: int,
) -> None:
    """Apply a function, or multiply a gradient by its derivative, in one pass through memory.

    Args:
        expr: A function of one variable of any name, without batch statistics.
        x: A flat, contiguous array of float32, float64, or int16 for the bits of bfloat16.
        gradient: An array like x, or None to compute values.
        out: An array like x for the result.
        threads: The number of threads. The result does not depend on it.

    Example:
        >>> from symact import parse
        >>> x = np.array([-1.0, 3.0])
        >>> out = np.empty_like(x)
        >>> apply_fused(parse("x**2"), x, None, out, threads=1)
        >>> out
        array([1., 9.])
    """
    kernel = _kernel(expr, x.dtype, gradient is not None)
    factor = x if gradient is None else gradient
    steps = x.size // STEP
    parts = max(1, min(threads, x.size // SHARE, steps))
    bounds = [steps * part // parts for part in range(parts + 1)]

    def work(part: int) -> None:
        first, last = bounds[part : part + 2]
        span = slice(first * STEP, last * STEP)
        kernel(x[span], factor[span], out[span], last - first)

    others = [pool(threads).submit(work, part) for part in range(1, parts)]
    if steps:
        work(0)
    rest = slice(steps * STEP, x.size)
    if steps * STEP < x.size:
        _apply_rest(kernel, x[rest], factor[rest], out[rest])
    for other in others:
        other.result()

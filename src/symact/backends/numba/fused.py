"""One compiled loop for one expression: values, or a gradient times the derivative.

The interpreter of :mod:`symact.backends.numba.tape` keeps intermediate results in the L1 cache.
This module compiles an expression into one loop that keeps them in CPU registers. Compilation takes
0.1 to 0.5 s for each loop, and up to 2 s for the first loop of a process. It is therefore used for
single functions, not for the candidates of a search. No C compiler is needed.

The loop reads each input once and writes each result once. bfloat16 is converted to float32 for the
computation. Arrays are passed as addresses, because conversions of a tensor to a NumPy array take
as long as a small loop.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

from symact.backends.numba.intrinsics import (
    Touch,
    bits_float,
    emit_loop,
    emit_tangent,
    fetch_add,
    float_bits,
)
from symact.backends.numba.kernels import RULES
from symact.backends.numba.parallel import CFunction
from symact.backends.numba.single import compiled
from symact.expr import Expr, distinct
from symact.expr.primitives import CONST, VAR

#: The number of elements of one step of the compiled loop. Every loop has whole steps only, so the
#: result at an element does not depend on its position.
STEP = 256

#: The number of steps that a thread takes at a time.
CHUNK = 32

#: The smallest number of elements for an additional thread.
SHARE = 2**15

#: The type in memory and the type of the computation for each name of a dtype. bfloat16 is read in
#: pairs, which takes fewer instructions than single numbers.
_TYPES: dict[str, tuple[Any, Any]] = {
    "float32": (types.float32, types.float32),
    "float64": (types.float64, types.float64),
    "bfloat16": (types.int32, types.float32),
}

#: The number of bytes of an element.
_WIDTHS = {"float32": 4, "float64": 8, "bfloat16": 2}

# A job is an array of int64: three addresses, the number of steps, the number of parts, the number
# of threads that have started, and for each part the number of chunks that threads have taken.
_X, _FACTOR, _OUT, _STEPS, _PARTS, _STARTED, _TAKEN = range(7)


@compiled
def _first(pair):
    """Return the first bfloat16 of a pair in float32."""
    return bits_float(np.int32(pair << np.int32(16)))


@compiled
def _second(pair):
    """Return the second bfloat16 of a pair in float32."""
    return bits_float(np.int32(pair & np.int32(-0x10000)))


@compiled
def _rounded(x):
    """Return the bits of a float32, rounded to a bfloat16 in the highest 16 bits.

    It is rounded to nearest, ties to even. NaN stays NaN: arithmetic sets the highest bit of its
    mantissa, and the lowest 16 bits, which come from an input in bfloat16 or from the default NaN,
    are 0.
    """
    bits = float_bits(x)
    odd = np.int32((bits >> np.int32(16)) & np.int32(1))
    return np.int32(bits + np.int32(0x7FFF) + odd)


@compiled
def _pair(first, second):
    """Return two float32 as a pair of bfloat16."""
    low = np.int32(_rounded(first) >> np.int32(16)) & np.int32(0xFFFF)
    return np.int32(low | (_rounded(second) & np.int32(-0x10000)))


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


def _loop_of(expr: Expr, dtype: str, by_derivative: bool) -> Any:
    """Return the intrinsic ``loop(x, factor, out, steps)`` of an expression, with addresses."""
    memory, real = _TYPES[dtype]
    per_word = 2 if memory == types.int32 else 1

    def typed(typingctx: Any, x: Any, factor: Any, out: Any, steps: Any) -> Any:
        for node in distinct(expr):
            if node.op in RULES:
                kinds = (real,) * len(node.args)
                types.Dispatcher(RULES[node.op]).get_call_type(typingctx, kinds, {})
        if memory == types.int32:
            for part in (_first, _second):
                types.Dispatcher(part).get_call_type(typingctx, (types.int32,), {})
            types.Dispatcher(_pair).get_call_type(typingctx, (types.float32,) * 2, {})

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = _Emitter(context, builder, real)
            pointer = context.get_value_type(memory).as_pointer()
            data = [builder.inttoptr(address, pointer) for address in args[:3]]

            def load(operand: int, index: Any, touch: Touch) -> list[Any]:
                address = builder.gep(data[operand], [index])
                number = touch(builder.load(address, align=_WIDTHS[dtype]))
                if memory != types.int32:
                    return [number]
                return [emit.call(part, (types.int32,), [number]) for part in (_first, _second)]

            def result(x: Any, factor: Any | None) -> Any:
                value, slope = emit.apply(expr, x)
                if factor is None:
                    return value
                return builder.fmul(emit.constant(0.0) if slope is None else slope, factor)

            def element(index: Any, touch: Touch) -> None:
                numbers = load(0, index, touch)
                factors = load(1, index, touch) if by_derivative else [None] * len(numbers)
                found = [*map(result, numbers, factors)]
                if memory == types.int32:
                    found = [emit.call(_pair, (types.float32,) * 2, found)]
                address = builder.gep(data[2], [index])
                touch(builder.store(found[0], address, align=_WIDTHS[dtype]))

            many = args[3].type(STEP // per_word)
            emit_loop(builder, builder.mul(args[3], many), element, 4 // per_word)
            return context.get_dummy_value()

        return types.void(x, factor, out, steps), codegen

    return intrinsic(typed)


@lru_cache(maxsize=512)
def _kernel(expr: Expr, dtype: str, by_derivative: bool) -> CFunction:
    """Compile an expression for one dtype to a C function of the address of a job.

    Any number of threads may run the function with one job. A thread first takes the chunks of its
    own part, so that later passes find them in the cache of the same core. It then takes those that
    other threads have not yet taken.
    """
    width = _WIDTHS[dtype]
    loop = _loop_of(expr, dtype, by_derivative)

    def run(job):
        steps, parts = job[_STEPS], job[_PARTS]
        chunks = (steps + CHUNK - 1) // CHUNK
        own = fetch_add(job, _STARTED)
        for turn in range(parts):
            part = (own + turn) % parts
            end = chunks * (part + 1) // parts
            while True:
                chunk = chunks * part // parts + fetch_add(job, _TAKEN + part)
                if chunk >= end:
                    break
                start = chunk * CHUNK * STEP * width
                count = min(CHUNK, steps - chunk * CHUNK)
                loop(job[_X] + start, job[_FACTOR] + start, job[_OUT] + start, count)

    return CFunction(cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")(run))


def _run(
    kernel: CFunction, addresses: tuple[int, int, int], offset: int, steps: int, parts: int
) -> None:
    """Run a kernel on a number of steps, from an offset in bytes."""
    x, factor, out = addresses
    start = [x + offset, factor + offset, out + offset, steps, parts, 0, *(0,) * parts]
    kernel.run(start, parts)


def apply_fused(
    expr: Expr,
    dtype: str,
    x: int,
    gradient: int | None,
    out: int,
    size: int,
    threads: int,
) -> None:
    """Apply a function, or multiply a gradient by its derivative, in one pass through memory.

    Args:
        expr: A function of one variable of any name, without batch statistics.
        dtype: The type of all arrays: ``"float32"``, ``"float64"`` or ``"bfloat16"``.
        x: The address of a contiguous array.
        gradient: The address of an array like x, or None to compute values.
        out: The address of an array like x for the result. It must not overlap the others.
        size: The number of elements of each array, at least :data:`STEP`.
        threads: The largest number of threads. The result does not depend on it.

    Example:
        >>> from symact import parse
        >>> x, out = np.full(300, 3.0), np.zeros(300)
        >>> addresses = x.ctypes.data, None, out.ctypes.data
        >>> apply_fused(parse("x**2"), "float64", *addresses, size=300, threads=1)
        >>> float(out.min()), float(out.max())
        (9.0, 9.0)
    """
    if size < STEP:
        raise ValueError(f"expected at least {STEP} elements, got {size}")
    kernel = _kernel(expr, dtype, gradient is not None)
    addresses = x, x if gradient is None else gradient, out
    _run(kernel, addresses, 0, size // STEP, max(1, min(threads, size // SHARE)))
    if size % STEP:
        # The last step overlaps the one before it, whose results it repeats.
        width = _WIDTHS[dtype]
        _run(kernel, addresses, (size - STEP) * width, 1, 1)

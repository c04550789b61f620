"""The numba lowering: an expression as a flat 3-address program, and one interpreter for all.

Compiling every candidate would cost 60 to 90 ms; a program is data, and the interpreter is compiled
once. It works block by block, one register a row of :data:`BLOCK` points, so that its state stays
in the L1 cache and each instruction is one SIMD loop. With slopes it carries dual numbers: value
and tangent, seeded with dx = 1.

For programs with batch statistics the block is the whole tensor, and the tangent is the
Jacobian-vector product with a vector of ones (not the gradient that training needs; see
:mod:`symact.score._full`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.expr import Expr, distinct, uses_statistics
from symact.lower import _kernels as k
from symact.ops import CONST, PRIMITIVES, VAR

compiled = njit(error_model="numpy")

#: Points of a block: 8 rows of values and slopes in float32 fill a third of a 48 KB L1 cache.
BLOCK = 256

OPCODES: dict[str, int] = {name: code for code, name in enumerate(PRIMITIVES)}

_CODE = {name.upper(): code for name, code in OPCODES.items()}
ADD, SUB, MUL, DIV = _CODE["ADD"], _CODE["SUB"], _CODE["MUL"], _CODE["DIV"]
NEG, ABS, SQUARE, CUBE = _CODE["NEG"], _CODE["ABS"], _CODE["SQUARE"], _CODE["CUBE"]
SQRT, EXP, LOG, LOG1P = _CODE["SQRT"], _CODE["EXP"], _CODE["LOG"], _CODE["LOG1P"]
SIN, COS, SINC, TANH = _CODE["SIN"], _CODE["COS"], _CODE["SINC"], _CODE["TANH"]
ATAN, ASINH, ERF, SIGMOID = _CODE["ATAN"], _CODE["ASINH"], _CODE["ERF"], _CODE["SIGMOID"]
SOFTPLUS, SOFTSIGN, RELU = _CODE["SOFTPLUS"], _CODE["SOFTSIGN"], _CODE["RELU"]
GELU, SILU, GAUSSIAN, SIGN = _CODE["GELU"], _CODE["SILU"], _CODE["GAUSSIAN"], _CODE["SIGN"]
MIN, MAX, WHERE = _CODE["MIN"], _CODE["MAX"], _CODE["WHERE"]
LT, LE, GT, GE = _CODE["LT"], _CODE["LE"], _CODE["GT"], _CODE["GE"]
MEAN, STD = _CODE["MEAN"], _CODE["STD"]


@dataclass(frozen=True, eq=False)
class Program:
    """One expression, lowered.

    Attributes:
        code: int32 [instruction, 5]: opcode, destination and three operand registers.
        constants: float64 [constant], held in registers 1 and up; register 0 is the input.
        registers: How many registers the program uses.
        result: The register of the result.
        statistics: Whether it must see the whole tensor at once.
    """

    code: NDArray[np.int32]
    constants: NDArray[np.float64]
    registers: int
    result: int
    statistics: bool


@lru_cache(maxsize=4096)
def to_tape(expr: Expr) -> Program:
    """Lower an expression of one variable; common subexpressions are computed once."""
    nodes = distinct(expr)
    leaves = [node for node in nodes if node.op == CONST]
    register = {node: place for place, node in enumerate(leaves, 1)}
    register.update({node: 0 for node in nodes if node.op == VAR})
    last_use = {arg: position for position, node in enumerate(nodes) for arg in node.args}
    last_use[expr] = len(nodes)
    count = 1 + len(leaves)
    free: list[int] = []
    code: list[list[int]] = []
    for position, node in enumerate(nodes):
        if node.op in (CONST, VAR):
            continue
        # The destination is taken before operands are released: in-place instructions would
        # fail LLVM's alias check and lose vectorisation.
        if free:
            target = free.pop()
        else:
            target, count = count, count + 1
        register[node] = target
        operands = [register[arg] for arg in node.args]
        code.append([OPCODES[node.op], target, *operands, *[0] * (3 - len(operands))])
        done = {arg for arg in node.args if last_use[arg] == position}
        free.extend(sorted(register[a] for a in done if a.op not in (CONST, VAR)))
    return Program(
        np.array(code, dtype=np.int32).reshape(-1, 5),
        np.array([leaf.number for leaf in leaves], dtype=np.float64),
        count,
        register[expr],
        uses_statistics(expr),
    )


@compiled
def _one(rule, w, slopes, d, a, n):
    value, x = w[d : d + n], w[a : a + n]
    if slopes == 0:
        for i in range(n):
            value[i] = rule(x[i])[0]
    else:
        tangent, dx = w[slopes + d : slopes + d + n], w[slopes + a : slopes + a + n]
        for i in range(n):
            v, p = rule(x[i])
            value[i] = v
            tangent[i] = p * dx[i]


@compiled
def _two(rule, w, slopes, d, a, b, n):
    value, x, y = w[d : d + n], w[a : a + n], w[b : b + n]
    if slopes == 0:
        for i in range(n):
            value[i] = rule(x[i], y[i])[0]
    else:
        tangent = w[slopes + d : slopes + d + n]
        dx, dy = w[slopes + a : slopes + a + n], w[slopes + b : slopes + b + n]
        for i in range(n):
            v, p, q = rule(x[i], y[i])
            value[i] = v
            tangent[i] = p * dx[i] + q * dy[i]


@compiled
def _where(w, slopes, d, a, b, c, n):
    for i in range(n):
        w[d + i] = w[b + i] if w[a + i] != 0 else w[c + i]
    if slopes != 0:
        for i in range(n):
            chosen = w[slopes + b + i] if w[a + i] != 0 else w[slopes + c + i]
            w[slopes + d + i] = chosen


@compiled
def _mean(w, slopes, d, a, n):
    total, tangent = 0.0, 0.0
    for i in range(n):
        total += w[a + i]
        tangent += w[slopes + a + i]
    for i in range(n):
        w[d + i] = total / n
        if slopes != 0:
            w[slopes + d + i] = tangent / n


@compiled
def _std(w, slopes, d, a, n):
    total, tangent_total = 0.0, 0.0
    for i in range(n):
        total += w[a + i]
        tangent_total += w[slopes + a + i]
    mean, tangent_mean = total / n, tangent_total / n
    squares, products = 0.0, 0.0
    for i in range(n):
        centred = w[a + i] - mean
        squares += centred * centred
        products += centred * (w[slopes + a + i] - tangent_mean)
    deviation = np.sqrt(squares / n)
    for i in range(n):
        w[d + i] = deviation
        if slopes != 0:
            w[slopes + d + i] = products / n / deviation


@compiled
def run_block(code, w, block, slopes, n):
    """Run a program on ``n`` points whose input stands in register 0.

    Register r holds its values at ``w[r * block]`` and, where ``slopes`` is not 0, its tangents at
    ``w[slopes + r * block]``.
    """
    for step in range(code.shape[0]):
        op = code[step, 0]
        d, a = np.intp(code[step, 1]) * block, np.intp(code[step, 2]) * block
        b, c = np.intp(code[step, 3]) * block, np.intp(code[step, 4]) * block
        if op == ADD:
            _two(k.add, w, slopes, d, a, b, n)
        elif op == SUB:
            _two(k.sub, w, slopes, d, a, b, n)
        elif op == MUL:
            _two(k.mul, w, slopes, d, a, b, n)
        elif op == DIV:
            _two(k.div, w, slopes, d, a, b, n)
        elif op == NEG:
            _one(k.neg, w, slopes, d, a, n)
        elif op == ABS:
            _one(k.absolute, w, slopes, d, a, n)
        elif op == SQUARE:
            _one(k.square, w, slopes, d, a, n)
        elif op == CUBE:
            _one(k.cube, w, slopes, d, a, n)
        elif op == SQRT:
            _one(k.sqrt, w, slopes, d, a, n)
        elif op == EXP:
            _one(k.exponential, w, slopes, d, a, n)
        elif op == LOG:
            _one(k.logarithm, w, slopes, d, a, n)
        elif op == LOG1P:
            _one(k.logarithm1p, w, slopes, d, a, n)
        elif op == SIN:
            _one(k.sine, w, slopes, d, a, n)
        elif op == COS:
            _one(k.cosine, w, slopes, d, a, n)
        elif op == SINC:
            _one(k.sinc, w, slopes, d, a, n)
        elif op == TANH:
            _one(k.hyperbolic_tangent, w, slopes, d, a, n)
        elif op == ATAN:
            _one(k.arctangent, w, slopes, d, a, n)
        elif op == ASINH:
            _one(k.asinh, w, slopes, d, a, n)
        elif op == ERF:
            _one(k.error_function, w, slopes, d, a, n)
        elif op == SIGMOID:
            _one(k.sigmoid, w, slopes, d, a, n)
        elif op == SOFTPLUS:
            _one(k.softplus, w, slopes, d, a, n)
        elif op == SOFTSIGN:
            _one(k.softsign, w, slopes, d, a, n)
        elif op == RELU:
            _one(k.relu, w, slopes, d, a, n)
        elif op == GELU:
            _one(k.gelu, w, slopes, d, a, n)
        elif op == SILU:
            _one(k.silu, w, slopes, d, a, n)
        elif op == GAUSSIAN:
            _one(k.gaussian, w, slopes, d, a, n)
        elif op == SIGN:
            _one(k.sign, w, slopes, d, a, n)
        elif op == MIN:
            _two(k.minimum, w, slopes, d, a, b, n)
        elif op == MAX:
            _two(k.maximum, w, slopes, d, a, b, n)
        elif op == WHERE:
            _where(w, slopes, d, a, b, c, n)
        elif op == LT:
            _two(k.less, w, slopes, d, a, b, n)
        elif op == LE:
            _two(k.less_equal, w, slopes, d, a, b, n)
        elif op == GT:
            _two(k.greater, w, slopes, d, a, b, n)
        elif op == GE:
            _two(k.greater_equal, w, slopes, d, a, b, n)
        elif op == MEAN:
            _mean(w, slopes, d, a, n)
        elif op == STD:
            _std(w, slopes, d, a, n)


@compiled
def load_constants(constants, w, block, slopes):
    """Fill the constant rows, and zero the tangents that stay zero."""
    for j in range(constants.shape[0]):
        start = (j + 1) * block
        for i in range(block):
            w[start + i] = constants[j]
            w[slopes + start + i] = 0 if slopes != 0 else constants[j]


@compiled
def _copy(target, source):
    for i in range(target.size):
        target[i] = source[i]


@compiled
def apply(code, constants, result, x, value, tangent, w, block, slopes):
    """Evaluate one program on a flat array: ``value = f(x)`` and, with slopes, ``tangent = f'(x)``.

    ``w`` has room for ``registers * block`` entries, twice that with slopes (then ``slopes`` is
    ``registers * block``, else 0 and ``tangent`` is not touched).
    """
    load_constants(constants, w, block, slopes)
    if slopes != 0:
        for i in range(block):
            w[slopes + i] = 1
    at = result * block
    for start in range(0, x.size, block):
        n = min(block, x.size - start)
        _copy(w[:n], x[start : start + n])
        run_block(code, w, block, slopes, n)
        _copy(value[start : start + n], w[at : at + n])
        if slopes != 0:
            _copy(tangent[start : start + n], w[slopes + at : slopes + at + n])


@njit(nogil=True, cache=True, error_model="numpy")
def apply_cached(code, constants, result, x, value, tangent, w, block, slopes):
    """``apply`` as an entry point from Python, releasing the interpreter lock."""
    apply(code, constants, result, x, value, tangent, w, block, slopes)


def apply_into(
    expr: Expr, x: NDArray[Any], value: NDArray[Any], slope: NDArray[Any] | None
) -> None:
    """Evaluate an expression on a contiguous array into arrays of its shape and dtype.

    Args:
        expr: An expression of the variable x.
        x: float32 or float64; batch statistics are over all of it.
        value: Takes f(x).
        slope: Takes the tangents, None if they are not wanted.
    """
    program = to_tape(expr)
    block = max(x.size, 1) if program.statistics else BLOCK
    area = program.registers * block
    # Statistics read tangents in either mode, so they always have room for them.
    with_slopes = slope is not None or program.statistics
    tangent = value if slope is None and not program.statistics else slope
    apply_cached(
        program.code,
        program.constants.astype(x.dtype),
        program.result,
        x.reshape(-1),
        value.reshape(-1),
        (np.empty_like(value) if tangent is None else tangent).reshape(-1),
        np.zeros((2 if with_slopes else 1) * area, dtype=x.dtype),
        block,
        area if with_slopes else 0,
    )


def evaluate(expr: Expr, x: NDArray[Any], *, slopes: bool = False) -> Any:
    """Evaluate an expression on an array.

    Args:
        expr: An expression of the variable x.
        x: float32 or float64, any shape; batch statistics are over all of it.
        slopes: Whether to return the tangents too.

    Returns:
        Values of x's shape and dtype, or ``(values, slopes)``.
    """
    flat = np.asarray(x, order="C")
    value = np.empty_like(flat)
    slope = np.empty_like(flat) if slopes else None
    apply_into(expr, flat, value, slope)
    return (value, slope) if slopes else value

"""Expressions of several variables on arrays, by the interpreter of the tape.

A program of the tape has one input. Here the arguments of an expression stand in the workspace
beside each other, each in rows of its own, so that what a grammar's template makes of thousands of
arguments at once costs one call, with the very values that the tape gives the whole expression.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.backends.numba.tape import BLOCK, OPCODES, interpreter, run, workspace
from symact.expr import Expr, distinct, uses_statistics
from symact.expr.primitives import CONST, VAR

_FLOAT64 = np.dtype(np.float64)


@njit(cache=True, error_model="numpy")
def _run(address, code, w, v, blocks):
    run(address, code, w, v, np.empty(0, dtype=np.intp), blocks)


class Rows:
    """An expression of the variables ``names``, to be evaluated again and again.

    Args:
        expr: Without batch statistics.
        names: Its variables, in the order of the arguments of :meth:`__call__`.

    Raises:
        ValueError: It has batch statistics, which have no value at a single point.
    """

    def __init__(self, expr: Expr, names: tuple[str, ...]) -> None:
        if uses_statistics(expr):
            raise ValueError("batch statistics have no value at a single point")
        nodes = distinct(expr)
        register: dict[Expr, int] = {Expr(VAR, (), name): i for i, name in enumerate(names)}
        self._constants = [node.number for node in nodes if node.op == CONST]
        for node in nodes:
            if node not in register and (node.op == CONST or node.op == VAR):
                assert node.op == CONST, f"variable {node.value} is not among {names}"
                register[node] = len(register)
        code = []
        for node in nodes:
            if node not in register:
                register[node] = len(register)
                operands = [register[arg] for arg in node.args]
                padding = [0] * (3 - len(operands))
                code.append([OPCODES[node.op], register[node], *operands, *padding])
        self._code = np.array(code, dtype=np.int32).reshape(-1, 5)
        self._inputs, self._registers, self._result = len(names), len(register), register[expr]
        self._address = interpreter(_FLOAT64)
        self._blocks = 0
        self._w: NDArray[Any] = np.empty(0)

    def __call__(self, *arguments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values, an array of the shape that all arguments have."""
        size = arguments[0].size
        self._reserve(max(1, -(-size // BLOCK)))
        for i, argument in enumerate(arguments):
            start = i * self._blocks * BLOCK
            self._w[start : start + size] = argument.reshape(-1)
        rows = np.arange(self._registers, dtype=np.intp) * self._blocks
        _run(self._address, self._code, self._w, rows, -(-size // BLOCK))
        start = self._result * self._blocks * BLOCK
        return self._w[start : start + size].reshape(arguments[0].shape).copy()

    def _reserve(self, blocks: int) -> None:
        """Make room for so many blocks in each register, and fill those of the constants."""
        if blocks <= self._blocks:
            return
        self._blocks = blocks
        self._w = workspace(self._registers * blocks, _FLOAT64)
        for i, constant in enumerate(self._constants):
            start = (self._inputs + i) * blocks * BLOCK
            self._w[start : start + blocks * BLOCK] = constant
